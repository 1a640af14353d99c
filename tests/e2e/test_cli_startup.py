"""Start-up is part of a stop's latency: what the quick commands must not load."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.command import Running, environment_in, massager
from tests.e2e.simulator_process import wait_until

# Each costs more than the interpreter's own start, or nearly.
SLOW = {
    "asyncio",
    "pydantic",
    "serial",
    "aiomqtt",
    "paho",
    "ssl",
    "platformdirs",
    "logging",
    "dataclasses",
    "inspect",
    "pathlib",
    "tomllib",
    "simulator",
    "firmware_protocol.messages",  # the package itself and its plain numbers cost nothing
    "massager.controller",
    "massager.session.model",
    "massager.transports",
    "massager.config.config",
    "massager.api.messages",
    "massager.history.store",
    "sqlite3",
}
_TELL = """
import sys
from massager.cli import main
try:
    main(sys.argv[1:])
finally:
    sys.stderr.write("\\n" + " ".join(sys.modules))
"""


def loaded(folder: Path, *words: str) -> set[str]:
    """The modules that a command has loaded when it ends."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _path() + _TELL, *words],
        capture_output=True,
        text=True,
        timeout=30,
        env=environment_in(folder),
    )
    return set(done.stderr.splitlines()[-1].split())


def _path() -> str:
    """No `site`: what the virtual environment loads by itself is not the command's."""
    return f"import sys; sys.path += {[path for path in sys.path if path]!r}\n"


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["start", "--help"], ["strat"]])
def test_help_and_usage_errors_load_nothing_slow(words: list[str], tmp_path: Path) -> None:
    modules = loaded(tmp_path, *words)

    assert "massager.cli.parser" in modules
    assert not modules & SLOW


def test_the_help_of_all_commands_loads_no_command(tmp_path: Path) -> None:
    modules = loaded(tmp_path, "--help")

    ours = {name for name in modules if name.partition(".")[0] == "massager"}
    assert ours == {"massager", "massager.cli", "massager.cli.parser", "massager.errors"}
    assert not modules & {"typing", "shutil", "socket", "json"}


def test_a_stop_that_reaches_a_controller_loads_nothing_slow(tmp_path: Path) -> None:
    with Running(tmp_path, "start", "--device", "sim:", "--speed", "20") as session:
        wait_until(lambda: len(session.lines()) > 2, "the session runs")

        modules = loaded(tmp_path, "stop")

        assert session.wait() == 0
    assert "massager.api.client" in modules
    assert not modules & SLOW


def test_a_daemon_without_a_broker_loads_nothing_of_mqtt(tmp_path: Path) -> None:
    words = ("serve", "--device", "sim:", "--log-level", "info")
    daemon = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _path() + _TELL, *words],
        stderr=subprocess.PIPE,
        text=True,
        env=environment_in(tmp_path),
    )
    assert daemon.stderr is not None
    assert any("ready" in line for line in daemon.stderr)
    daemon.terminate()
    modules = set(daemon.stderr.read().splitlines()[-1].split())
    daemon.stderr.close()
    assert daemon.wait(timeout=30) == 0
    assert "massager.daemon.house" in modules
    assert not {name.partition(".")[0] for name in modules} & {"aiomqtt", "paho"}


def test_a_foreground_session_stays_below_45_megabytes(tmp_path: Path) -> None:
    with Running(tmp_path, "start", "--device", "sim:", "--speed", "20") as session:
        wait_until(lambda: len(session.lines()) > 2, "the session runs")
        status = Path(f"/proc/{session.process.pid}/status")
        if not status.exists():
            pytest.skip("this system does not tell the size of a process")

        [line] = [line for line in status.read_text().splitlines() if line.startswith("VmRSS")]

        massager(tmp_path, "stop")
    assert int(line.split()[1]) < 45_000
