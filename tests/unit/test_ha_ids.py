"""What a device is called for good, and where that is kept."""

import threading
from pathlib import Path

from massager.config.devices import DeviceSettings
from massager.home_assistant.ids import DeviceIds
from massager.transports.url import parse_url

ONE = DeviceSettings("one", parse_url("serial:/dev/ttyUSB0"))
TWO = DeviceSettings("two", parse_url("serial:/dev/ttyUSB1"))


def learned(ids: DeviceIds, device: DeviceSettings, seen: str) -> bool:
    """Told, and on the disk."""
    is_news = ids.learn(device, seen)
    for thread in threading.enumerate():
        if thread.name == "ids":
            thread.join()
    return is_news


def test_what_a_device_said_once_is_known_before_it_is_seen_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "device-ids.json"
    ids = DeviceIds(path)
    assert ids.id_of(ONE) is None
    assert learned(ids, ONE, "foot-1")
    assert learned(ids, TWO, "foot-2")
    assert not learned(ids, ONE, "foot-1")

    again = DeviceIds(path)
    assert (again.id_of(ONE), again.id_of(TWO)) == ("foot-1", "foot-2")
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_id_of_the_config_and_a_simulated_device_of_this_process_need_no_learning(
    tmp_path: Path,
) -> None:
    ids = DeviceIds(tmp_path / "device-ids.json")
    chosen = DeviceSettings("one", ONE.url, device_id="bed-1")
    simulated = DeviceSettings("three", parse_url("sim:"))
    assert not learned(ids, chosen, "other")
    assert not learned(ids, simulated, "sim-0001")
    assert (ids.id_of(chosen), ids.id_of(simulated)) == ("bed-1", "sim-three")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_says_nothing_sensible_is_as_none(tmp_path: Path) -> None:
    path = tmp_path / "device-ids.json"
    for text in ("", "[1]", "{", '{"serial:/dev/ttyUSB0": "far too long an id"}'):
        path.write_text(text)
        assert DeviceIds(path).id_of(ONE) is None


def test_a_folder_that_may_not_be_written_keeps_nothing_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ids = DeviceIds(tmp_path / "file" / "device-ids.json")
    assert learned(ids, ONE, "foot-1")
    assert ids.id_of(ONE) == "foot-1"
