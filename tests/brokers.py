"""An MQTT broker for tests: Mosquitto where it is on the PATH, else amqtt in a process of its own.

With CI=true a missing Mosquitto is a failure, so that what only it can show is never skipped there.
"""

import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

HOST = "127.0.0.1"
_START_S = 10.0


def find_mosquitto() -> str | None:
    """Its path; Debian keeps it where only root's PATH looks."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class Broker:
    """One broker on a free port of 127.0.0.1 that may be stopped and started again."""

    def __init__(self, folder: Path, *, mosquitto: str | None, settings: str = "") -> None:
        self.port = free_port()
        self.is_mosquitto = mosquitto is not None
        self._process: subprocess.Popen[bytes] | None = None
        if mosquitto is not None:
            config = folder / "mosquitto.conf"
            # Started by root it would become another user, who may not read the test's folder.
            text = f"user {getpass.getuser()}\nlistener {self.port} {HOST}\n"
            text += f"set_tcp_nodelay true\n{settings}\n"
            if "allow_anonymous" not in settings:
                text += "allow_anonymous true\n"
            config.write_text(text, encoding="utf-8")
            self._command = [mosquitto, "-c", str(config)]
        else:
            config = folder / "amqtt.json"
            config.write_text(json.dumps(_amqtt_settings(self.port)), encoding="utf-8")
            self._command = [sys.executable, "-c", _AMQTT, str(config)]

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + _START_S
        while time.monotonic() < end and self._process.poll() is None:
            try:
                socket.create_connection((HOST, self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.01)
        self.stop()
        raise RuntimeError(f"the broker did not start: {' '.join(self._command)}")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it (SIGKILL: as a crash) and wait for it."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(10)
            self._process = None


def any_broker(folder: Path) -> Broker:
    """Mosquitto or, outside CI, amqtt; not yet started."""
    mosquitto = find_mosquitto()
    if mosquitto is None and os.environ.get("CI") == "true":
        pytest.fail("Mosquitto is missing, and CI must not do without it")
    return Broker(folder, mosquitto=mosquitto)


def real_mosquitto(folder: Path, settings: str = "") -> Broker:
    """Mosquitto with further `settings`, or the test is skipped; not yet started."""
    mosquitto = find_mosquitto()
    if mosquitto is None:
        if os.environ.get("CI") == "true":
            pytest.fail("Mosquitto is missing, and CI must not do without it")
        pytest.skip("Mosquitto is not installed; on Debian: apt-get install mosquitto")
    return Broker(folder, mosquitto=mosquitto, settings=settings)


_AMQTT = """
import asyncio, json, sys
from amqtt.broker import Broker

async def serve():
    broker = Broker(json.load(open(sys.argv[1])))
    await broker.start()
    await asyncio.Event().wait()

asyncio.run(serve())
"""


def _amqtt_settings(port: int) -> dict[str, object]:
    return {
        "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}"}},
        "plugins": {
            "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True},
        },
    }
