"""What each device is called for good, on the broker and in Home Assistant: never by its name.

It is the device's own id: from the config, or as the device told it once. Learned ids are kept in
`device-ids.json` beside the history, so that a device that is away at the start is announced all
the same. A simulated device of this process has no id of its own; it is `sim-<name>`.
"""

import json
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from threading import Lock, Thread
from typing import Final

from massager.config.devices import DeviceSettings
from massager.transports.url import SimUrl

FILE_NAME: Final = "device-ids.json"
_FILE_MAX_BYTES: Final = 65_536
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,8}")
_log = logging.getLogger(__name__)


def ids_path(environ: Mapping[str, str]) -> Path:
    """Where learned ids are kept."""
    from massager.history.file import history_path

    return history_path(environ).parent / FILE_NAME


class DeviceIds:
    """By the device's URL: a name may change, and the cable stays."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._learned = _read(path)
        self._writing = Lock()

    def id_of(self, device: DeviceSettings) -> str | None:
        """None: it was never seen, and the config does not say."""
        if isinstance(device.url, SimUrl):
            return f"sim-{device.name}"
        return device.device_id or self._learned.get(str(device.url))

    def learn(self, device: DeviceSettings, seen: str) -> bool:
        """Whether this is news: the device has told its id."""
        known = self._learned.get(str(device.url))
        if isinstance(device.url, SimUrl) or device.device_id is not None or known == seen:
            return False
        if known is not None:
            _log.warning(
                "%s: device %s answers where %s was; Home Assistant gets a new device "
                "(`massager ha remove %s` takes the old one away)",
                *(device.name, seen, known, known),
            )
        self._learned[str(device.url)] = seen
        # A disk may take its time, and then neither a session nor the end of the process waits.
        Thread(target=self._write, name="ids", daemon=True).start()
        return True

    def _write(self) -> None:
        with self._writing:
            self._write_now(dict(self._learned))

    def _write_now(self, learned: dict[str, str]) -> None:
        fresh = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(learned, file)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError as error:
            _log.warning("%s cannot be written (%s); ids are learned anew", self._path, error)


def _read(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_FILE_MAX_BYTES))
        return {
            str(url): name
            for url, name in found.items()
            if isinstance(name, str) and _ID.fullmatch(name)
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        _log.warning("%s cannot be read (%s); ids are learned anew", path, error)
        return {}
