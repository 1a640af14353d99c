"""Prints what pip has to install beside Home Assistant: its integrations say so themselves."""

import json
from importlib.util import find_spec
from pathlib import Path

for name in ("mqtt", "hassio", "conversation"):  # MQTT asks the second for its broker
    found = find_spec("homeassistant")
    if found is None or found.origin is None:
        raise SystemExit("Home Assistant is not installed here")
    manifest = Path(found.origin).parent / "components" / name / "manifest.json"
    print(*json.loads(manifest.read_text("utf-8"))["requirements"], sep="\n")
