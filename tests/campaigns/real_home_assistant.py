"""The bridge and the blueprints against the real Home Assistant: `make home-assistant`.

Runs with the Python of an environment that has Home Assistant in it; the daemon runs with this
project's. A real Mosquitto, a simulated device at speed 20, Home Assistant's own MQTT integration,
automations made from the blueprints, restarts: a person's evening in about a minute.
"""

import asyncio
import importlib
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
SERVE: Final = [str(ROOT / ".venv/bin/python"), "-m", "massager", "serve", "--speed", "20"]
OWN: Final = "massager/sim-massager"
PATIENCE_S: Final = 20.0
ENTITIES: Final = 29  # with those that are disabled by default, and feet


class Logged(logging.Handler):
    """What Home Assistant complains of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        cause = f" ({record.exc_info[1]!r})" if record.exc_info else ""
        line = f"{record.levelname} {record.name}: {record.getMessage()}{cause}"
        self.lines.append(line[:400])


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configured(folder: Path, port: int) -> dict[str, Any]:
    """Home Assistant's folder with the broker and the blueprints; and its automations."""
    storage = folder / ".storage"
    storage.mkdir(parents=True, exist_ok=True)
    entry = {
        "domain": "mqtt",
        "entry_id": "01JD" + "0" * 22,
        "title": "broker",
        "source": "user",
        "version": 1,
        "minor_version": 2,
        "unique_id": None,
        "disabled_by": None,
        "data": {"broker": "127.0.0.1", "port": port},
        "options": {"discovery": True, "discovery_prefix": "homeassistant"},
        "pref_disable_new_entities": False,
        "pref_disable_polling": False,
        "created_at": "2026-01-01T00:00:00+00:00",
        "modified_at": "2026-01-01T00:00:00+00:00",
        "discovery_keys": {},
        "subentries": [],
    }
    if not (storage / "core.config_entries").exists():
        (storage / "core.config_entries").write_text(
            json.dumps(
                {
                    "version": 1,
                    "minor_version": 5,
                    "key": "core.config_entries",
                    "data": {"entries": [entry]},
                }
            )
        )
    (folder / "configuration.yaml").touch()
    target = folder / "blueprints/automation/massager"
    shutil.copytree(ROOT / "blueprints/automation/massager", target, dirs_exist_ok=True)
    return {"http": {"server_host": "127.0.0.1", "server_port": free_port()}}


async def booted(folder: Path, port: int, automations: list[dict[str, Any]]) -> Any:
    """A running Home Assistant with what this needs of it, without its web pages."""
    bootstrap = importlib.import_module("homeassistant.bootstrap")
    core = importlib.import_module("homeassistant.core")
    entries = importlib.import_module("homeassistant.config_entries")
    loader = importlib.import_module("homeassistant.loader")
    setup = importlib.import_module("homeassistant.setup").async_setup_component
    core_config = importlib.import_module("homeassistant.core_config")
    config = configured(folder, port)
    config |= {"automation": automations, "input_boolean": {"bedtime": {}}}
    hass = core.HomeAssistant(str(folder))
    hass.config.skip_pip = True
    loader.async_setup(hass)
    hass.config_entries = entries.ConfigEntries(hass, config)
    await bootstrap.async_load_base_functionality(hass)
    await core_config.async_process_ha_core_config(
        hass,
        {
            "name": "Home",
            "time_zone": "Europe/Berlin",
            "unit_system": "metric",
            "latitude": 0,
            "longitude": 0,
            "elevation": 0,
        },
    )
    domains = ["homeassistant", "http", "mqtt", "persistent_notification", "input_boolean"]
    for domain in (*domains, "conversation", "automation"):
        if not await setup(hass, domain, config):
            raise SystemExit(f"Home Assistant could not set up {domain}")
    await hass.async_start()
    return hass


async def until(what: str, holds: Callable[[], object]) -> None:
    """Wait; what never comes ends everything."""
    for _ in range(round(PATIENCE_S * 20)):
        if holds():
            return
        await asyncio.sleep(0.05)
    raise SystemExit(f"NOT SEEN: {what}")


def state(hass: Any, entity: str) -> str | None:
    """The state of an entity, or None."""
    found = hass.states.get(entity)
    return None if found is None else str(found.state)


class Evening:
    """The daemon, the broker, and a Home Assistant that comes and goes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.environ = {
            **os.environ,
            "HOME": str(folder),
            "MASSAGER_RUNTIME_DIR": str(folder / "run"),
            "MASSAGER_HISTORY": str(folder / "history.db"),
            "MASSAGER_CONFIG": str(folder / "massager.toml"),
        }
        for name in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME"):
            self.environ.pop(name, None)
        self.daemon: subprocess.Popen[bytes] | None = None
        self.hass: Any = None
        self.events: list[str] = []
        self.notes: list[str] = []
        self.log = Logged()

    def start_broker(self) -> subprocess.Popen[bytes]:
        config = self.folder / "mosquitto.conf"
        config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")
        mosquitto = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin") or "mosquitto"
        return subprocess.Popen([mosquitto, "-c", str(config)], stderr=subprocess.DEVNULL)

    def start_daemon(self) -> None:
        (self.folder / "massager.toml").write_text(
            f'device = "sim:"\n[mqtt]\nbroker = "mqtt://127.0.0.1:{self.port}"\n'
            '[home_assistant]\nnode_id = "attic"\n'
        )
        self.daemon = subprocess.Popen(SERVE, cwd=ROOT, env=self.environ)

    def massager(self, *words: str) -> str:
        done = subprocess.run(
            [SERVE[0], "-m", "massager", *words],
            cwd=ROOT,
            env=self.environ,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    async def start_home_assistant(self, automations: list[dict[str, Any]]) -> None:
        self.hass = await booted(self.folder / "hass", self.port, automations)
        self.hass.bus.async_listen("state_changed", self._changed)
        notes = importlib.import_module("homeassistant.components.persistent_notification")
        notes.async_register_callback(self.hass, self._noted)

    async def stop_home_assistant(self) -> None:
        for entry in self.hass.config_entries.async_entries("mqtt"):
            await self.hass.config_entries.async_unload(entry.entry_id)
        await self.hass.async_stop(force=True)
        self.events.clear()

    def _noted(self, _kind: Any, found: dict[str, Any]) -> None:
        self.notes += [note["message"] for note in found.values()]

    async def _changed(self, event: Any) -> None:
        new = event.data["new_state"]
        if new is not None and new.entity_id == "event.foot_massager_session":
            kind = new.attributes.get("event_type")
            old = event.data["old_state"]
            if kind and old is not None and old.state not in ("unavailable", new.state):
                self.events.append(kind)

    async def call(self, domain: str, service: str, entity: str, **data: Any) -> None:
        await self.hass.services.async_call(
            domain, service, {"entity_id": entity, **data}, blocking=True
        )

    def complaints(self) -> list[str]:
        """What it logged about us. It is set up by hand here, which it notices."""
        ours = [line for line in self.log.lines if "mqtt" in line or "massager" in line]
        return [line for line in ours if "async_forward_entry_setups" not in line]

    def phase(self) -> str | None:
        return state(self.hass, "sensor.foot_massager_phase")


@asynccontextmanager
async def evening() -> AsyncIterator[Evening]:
    """Everything set up, and taken down again whatever happens."""
    with tempfile.TemporaryDirectory() as folder:
        found = Evening(Path(folder))
        (found.folder / "hass").mkdir()
        broker = found.start_broker()
        logging.getLogger().addHandler(found.log)
        try:
            found.start_daemon()
            yield found
        finally:
            if found.daemon is not None and found.daemon.poll() is None:
                found.daemon.terminate()
                found.daemon.wait(10)
            broker.terminate()
            broker.wait(10)


async def by_hand(home: Evening) -> None:
    """What a person does on the device's page."""
    hass = home.hass
    await until("the device", lambda: home.phase() == "idle")
    registry = importlib.import_module("homeassistant.helpers.entity_registry").async_get(hass)
    ours = [each for each in registry.entities.values() if each.platform == "mqtt"]
    assert len(ours) == ENTITIES, f"{len(ours)} entities"
    assert all(each.entity_id.split(".")[1].startswith("foot_massager_") for each in ours)
    await home.call("number", "set_value", "number.foot_massager_intensity", value=6)
    await home.call("select", "select_option", "select.foot_massager_program", option="gliding")
    await home.call("button", "press", "button.foot_massager_start")
    await until("a start", lambda: home.phase() == "warm-up")
    assert state(hass, "number.foot_massager_intensity") == "6"
    await until("running", lambda: state(hass, "binary_sensor.foot_massager_running") == "on")
    await home.call("number", "set_value", "number.foot_massager_minutes", value=7.4)
    await until(
        "a refusal with its reason",
        lambda: "steps of 0.5" in (state(hass, "sensor.foot_massager_last_error") or ""),
    )
    assert state(hass, "number.foot_massager_minutes") == "8.0"
    await home.call("button", "press", "button.foot_massager_pause")
    await until("a pause", lambda: home.phase() == "paused")
    await home.call("button", "press", "button.foot_massager_resume")
    await until("going on", lambda: home.phase() in ("warm-up", "massage"))
    await home.call("button", "press", "button.foot_massager_emergency_stop")
    await until("the end", lambda: home.phase() == "ended")
    await until("the latch", lambda: state(hass, "binary_sensor.foot_massager_problem") == "on")
    # Before 2025.10 it was called by its name.
    clear = registry.async_get_entity_id("button", "mqtt", "massager_sim-massager_clear")
    await home.call("button", "press", clear)
    await until("no latch", lambda: state(hass, "binary_sensor.foot_massager_problem") == "off")
    assert home.events[-2:] == ["started", "stopped"], home.events


def automations(device: str) -> list[dict[str, Any]]:
    """Both blueprints, as a person would fill them in."""
    return [
        {
            "id": "bedtime",
            "alias": "Bedtime",
            "use_blueprint": {
                "path": "massager/bedtime.yaml",
                "input": {
                    "massager": device,
                    "switches": ["input_boolean.bedtime"],
                    "intensity": 5,
                    "minutes": 6,
                    "program": "bedtime",
                },
            },
        },
        {
            "id": "early",
            "alias": "Early",
            "use_blueprint": {
                "path": "massager/session_ended_early.yaml",
                "input": {
                    "session": "event.foot_massager_session",
                    "kinds": ["stopped", "aborted", "refused"],
                },
            },
        },
    ]


async def by_blueprint(home: Evening) -> None:
    """The automations, made from the blueprints."""
    await until("the device again", lambda: home.phase() in ("idle", "ended"))
    await asyncio.sleep(1)
    assert home.events == [], f"old events told again: {home.events}"
    await home.call("input_boolean", "turn_on", "input_boolean.bedtime")
    await until("a start by the blueprint", lambda: home.events == ["started"])
    await until("its program", lambda: home.phase() in ("warm-up", "massage"))
    await home.call("input_boolean", "turn_off", "input_boolean.bedtime")
    await home.call("input_boolean", "turn_on", "input_boolean.bedtime")
    await until(
        "the reason of a refusal", lambda: any("already running" in note for note in home.notes)
    )
    await home.call("button", "press", "button.foot_massager_stop")
    await until("an end that is told", lambda: any("stopped" in note for note in home.notes))
    answer = await home.hass.services.async_call(
        "conversation",
        "process",
        {"text": "start the foot massage", "language": "en"},
        blocking=True,
        return_response=True,
    )
    assert answer is not None
    await until("a start by voice", lambda: home.events.count("started") == 2)


async def with_restarts(home: Evening) -> None:
    """Home Assistant, then the daemon, come back while a session runs: nothing starts."""
    await home.stop_home_assistant()
    await home.start_home_assistant([])
    await until("the session after a restart", lambda: home.phase() in ("warm-up", "massage"))
    await home.call("button", "press", "button.foot_massager_stop")
    await until("its end", lambda: home.phase() == "ended")
    assert home.daemon is not None
    home.daemon.kill()
    home.daemon.wait(10)
    await until("unavailable", lambda: home.phase() == "unavailable")
    home.start_daemon()
    await until("back", lambda: home.phase() == "idle")
    await asyncio.sleep(2)
    assert "started" not in home.events, home.events


async def taken_away(home: Evening) -> None:
    """`massager ha remove`: nothing of the device is left."""
    assert home.daemon is not None
    home.daemon.terminate()
    home.daemon.wait(10)
    said = home.massager("ha", "remove")
    assert "sim-massager" in said, said
    await until("no entity", lambda: home.phase() is None)


async def main() -> None:
    """Everything, in order."""
    const = importlib.import_module("homeassistant.const")
    print(f"Home Assistant {const.__version__}")
    async with evening() as home:
        await home.start_home_assistant([])
        await by_hand(home)
        registry = importlib.import_module("homeassistant.helpers.entity_registry")
        device = registry.async_get(home.hass).async_get("sensor.foot_massager_phase").device_id
        await home.stop_home_assistant()
        await home.start_home_assistant(automations(device))
        await by_blueprint(home)
        await with_restarts(home)
        complaints = home.complaints()  # when a device goes Home Assistant has some of its own
        await taken_away(home)
        await home.stop_home_assistant()
        print("\n".join(complaints) or "Home Assistant had nothing to complain of")
    if complaints:
        raise SystemExit(1)
    print("1 passed, 0 failed")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
