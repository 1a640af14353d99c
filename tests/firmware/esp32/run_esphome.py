"""`esphome` on many YAML files from one start, run by ESPHome's own Python and not the tests'.

    python run_esphome.py config a/x.yaml b/x.yaml ...

writes one JSON list, with exit code and output of each, to standard output. Each file has a process
of its own, forked where ESPHome's modules are loaded already.
"""

import importlib
import json
import os
import sys
import tempfile
from pathlib import Path

LOADED = ("esp32", "wifi", "ota", "mdns", "logger", "adc", "ledc", "deep_sleep", "preferences")


def main() -> None:
    """Every file in turn."""
    run_esphome = importlib.import_module("esphome.__main__").run_esphome
    for name in LOADED:
        importlib.import_module(f"esphome.components.{name}")
    command, *files = sys.argv[1:]
    json.dump([outcome(run_esphome, command, Path(file)) for file in files], sys.stdout)


def outcome(run_esphome, command: str, file: Path) -> tuple[int, str]:  # type: ignore[no-untyped-def]
    """Exit code and output of one run, in the file's folder."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        child = os.fork()
        if child == 0:
            code = 70
            try:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
                os.chdir(file.parent)
                code = run_esphome(["esphome", command, file.name])
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code or 0)
        _, status = os.waitpid(child, 0)
        output.seek(0)
        return os.waitstatus_to_exitcode(status), output.read()


if __name__ == "__main__":
    main()
