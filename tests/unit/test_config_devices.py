"""Several devices in the config: what holds for each, and what is no second name for one."""

import time
from pathlib import Path

import pytest

from massager.config.config import Config, load
from massager.config.devices import RemoteStart
from massager.config.rescue import load_for_stop
from massager.errors import ConfigError

BEDROOM = '[[devices]]\nname = "bedroom"\ndevice = "serial:/dev/ttyUSB0"\n'
SOFA = '[[devices]]\nname = "sofa"\ndevice = "tcp://sofa:3333"\n'


def loaded(folder: Path, content: str) -> Config:
    path = folder / "config.toml"
    path.write_text(content, encoding="utf-8")
    return load({}, {}, path)


def refused(folder: Path, content: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, content)
    return str(caught.value).removeprefix(f"{folder}/")


def test_a_single_device_is_one_device_with_a_name(tmp_path: Path) -> None:
    config = loaded(tmp_path, 'device = "tcp://foot:1"\nremote.start = "armed"\n')
    [device] = config.devices
    assert (device.name, str(device.url)) == ("massager", "tcp://foot:1")
    assert (device.max_intensity, device.remote_start) == (10, RemoteStart.ARMED)
    assert loaded(tmp_path, "").devices == ()


def test_each_of_several_devices_has_its_own_settings(tmp_path: Path) -> None:
    more = 'device_id = "foot-2"\nmax_intensity = 4\nremote.start = "feet"\n'
    config = loaded(tmp_path, "limits.max_intensity = 6\n" + BEDROOM + SOFA + more)
    bedroom, sofa = config.devices
    assert (bedroom.name, bedroom.device_id, bedroom.max_intensity) == ("bedroom", None, 6)
    assert (sofa.device_id, sofa.max_intensity, sofa.remote_start) == (
        "foot-2",
        4,
        RemoteStart.FEET,
    )
    assert bedroom.remote_start is None
    assert config.device is None  # several: no command may guess


def test_no_device_lifts_the_person_s_own_cap(tmp_path: Path) -> None:
    content = "limits.max_intensity = 6\n" + BEDROOM + "max_intensity = 9\n"
    assert loaded(tmp_path, content).devices[0].max_intensity == 6


def test_the_only_device_of_the_list_is_the_one_that_every_command_means(tmp_path: Path) -> None:
    config = loaded(tmp_path, BEDROOM + 'device_id = "foot-1"\n')
    assert (config.device, config.device_id) == ("serial:/dev/ttyUSB0", "foot-1")


def test_a_device_on_a_broker_is_known_by_the_id_in_its_url(tmp_path: Path) -> None:
    content = '[[devices]]\nname = "bed"\ndevice = "mqtt://broker/foot-9"\n'
    assert loaded(tmp_path, content).devices[0].device_id == "foot-9"


def test_a_flag_that_gives_one_of_them_means_all_that_is_said_of_it(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    more = 'max_intensity = 4\nperson = "anna"\ndevice_id = "foot-1"\n'
    path.write_text(BEDROOM + more, encoding="utf-8")
    [device] = load({"device": "serial:/dev/ttyUSB0"}, {}, path).devices
    assert (device.name, device.max_intensity, device.person) == ("bedroom", 4, "anna")
    assert device.device_id == "foot-1"
    [other] = load({"device": "serial:/dev/ttyUSB1"}, {}, path).devices
    assert (other.name, other.max_intensity, other.person) == ("massager", 10, "")
    assert other.device_id is None


def test_each_device_may_name_whose_feet_it_is_for(tmp_path: Path) -> None:
    config = loaded(tmp_path, f'{BEDROOM}person = "anna"\n{SOFA}person = "ben"\n')
    assert [device.person for device in config.devices] == ["anna", "ben"]
    assert config.persons == ("anna", "ben")
    assert loaded(tmp_path, BEDROOM).persons == ()


def test_a_flag_reaches_the_device_as_it_says_whatever_is_said_of_that_device(
    tmp_path: Path,
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'{BEDROOM}person = "anna"\n', encoding="utf-8")
    [device] = load({"device": "serial:/dev/ttyUSB0?baud=38400"}, {}, path).devices
    assert str(device.url) == "serial:/dev/ttyUSB0?baud=38400"
    assert (device.name, device.person) == ("bedroom", "anna")
    flags = {"device": "serial:/dev/ttyUSB0"}
    [device] = load(flags, {"MASSAGER_DEVICE_ID": "foot-2"}, path).devices
    assert device.device_id == "foot-2"


def test_a_flag_may_give_a_port_by_another_of_its_names(tmp_path: Path) -> None:
    by_id = tmp_path / "usb-FTDI-port0"
    by_id.symlink_to("/dev/ttyUSB0")
    path = tmp_path / "config.toml"
    content = BEDROOM.replace("/dev/ttyUSB0", str(by_id))
    path.write_text(f'{content}max_intensity = 4\nperson = "anna"\n', encoding="utf-8")
    [device] = load({"device": "serial:/dev/ttyUSB0"}, {}, path).devices
    assert (device.name, device.max_intensity, device.person) == ("bedroom", 4, "anna")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(f'{BEDROOM}person = "Anna B."\n{SOFA}', id="a person that is no name"),
        pytest.param(f'{BEDROOM}person = "anna"\n{SOFA}', id="a person for one of them"),
        pytest.param(f'{BEDROOM}persn = "anna"\n{SOFA}max = 1\n', id="keys that are none"),
        pytest.param(f"{BEDROOM}max_intensity = 11\n{SOFA}", id="a cap beyond the range"),
        pytest.param(f'{BEDROOM}device_id = ""\n{SOFA}', id="an id that is none"),
        pytest.param((BEDROOM + SOFA).replace('"sofa"', '"bedroom"'), id="a name given twice"),
        pytest.param((BEDROOM + SOFA).replace('"sofa"', '"a sofa"'), id="a name that is none"),
        pytest.param(
            f'{BEDROOM}device_id = "foot-1"\n{SOFA}device_id = "foot-1"\n', id="an id given twice"
        ),
        pytest.param(f"{BEDROOM}remote.start = 5\n[mqtt]\nx = 1\n{SOFA}", id="other tables"),
        pytest.param(
            f'device = "serial:/dev/ttyUSB0"\n{BEDROOM}{SOFA}', id="a device beside the list"
        ),
        pytest.param(f'device = "what?"\n{BEDROOM}{SOFA}', id="a wrong device beside the list"),
        pytest.param(f"{BEDROOM}{SOFA}person = anna\n", id="no TOML"),
        pytest.param(f"{BEDROOM}[devices.remote]\nstart = feet\n{SOFA}", id="no TOML in a part"),
        pytest.param((BEDROOM + SOFA).replace("]]", "]"), id="rows that are one table twice"),
        pytest.param(f"{BEDROOM}{SOFA}".replace("]]", "]", 1), id="a bracket too few"),
        pytest.param(f'{BEDROOM}device = "tcp://sofa:3333"\n', id="a row without its header"),
    ],
)
def test_a_stop_reaches_every_device_whatever_else_is_wrong(content: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError):
        load({}, {}, path)
    config = load_for_stop({}, {"MASSAGER_CONFIG": str(path)})
    found = [str(device.url) for device in config.devices]
    assert sorted(found) == ["serial:/dev/ttyUSB0", "tcp://sofa:3333"]


def test_a_device_whose_url_is_wrong_keeps_a_stop_from_no_other(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    wrong = '[[devices]]\nname = "attic"\ndevice = "serial?"\n'
    path.write_text(f"{wrong}{BEDROOM}[[devices]]\nname = 5\n{SOFA}", encoding="utf-8")
    config = load_for_stop({}, {"MASSAGER_CONFIG": str(path)})
    found = [str(device.url) for device in config.devices]
    assert found == ["serial:/dev/ttyUSB0", "tcp://sofa:3333"]


def test_a_stop_of_a_thousand_devices_is_not_held_up_by_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    rows = (
        f'[[devices]]\nname = "d{number}"\ndevice = "tcp://h:{number}"\n'
        for number in range(1, 1_001)
    )
    path.write_text(f"{''.join(rows)}oops\n", encoding="utf-8")
    began_s = time.perf_counter()
    assert len(load_for_stop({}, {"MASSAGER_CONFIG": str(path)}).devices) == 1_000
    assert time.perf_counter() - began_s < 20


def test_a_flag_or_a_variable_stands_above_the_whole_list(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(BEDROOM + SOFA, encoding="utf-8")
    config = load({}, {"MASSAGER_DEVICE": "sim:"}, path)
    assert [(device.name, str(device.url)) for device in config.devices] == [("massager", "sim:")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            BEDROOM + 'person = "Anna"\n',
            "config.toml, line 1: person is 1 to 24 small letters, digits, _ or -, the first no -, "
            "not 'Anna'",
        ),
        (  # no command could name it: `--person -anna` is two flags
            BEDROOM + 'person = "-anna"\n',
            "config.toml, line 1: person is 1 to 24 small letters, ",
        ),
        (
            'device = "sim:"\nperson = "anna"\n',
            "config.toml, line 2: person is no setting; it belongs to a device: write it below [[",
        ),
        (
            BEDROOM + 'person = "anna"\n' + SOFA,
            "config.toml, line 5: 'sofa' names no person, and others do; name one for each device",
        ),
        (BEDROOM + BEDROOM, "config.toml, line 4: name 'bedroom' is given twice; "),
        (
            BEDROOM + BEDROOM.replace("bedroom", "Bed"),
            "config.toml, line 4: 'Bed' and 'bedroom' are two names for one device "
            "(serial:/dev/ttyUSB0); keep one of them",
        ),
        (
            BEDROOM + 'device_id = "a"\n' + SOFA + 'device_id = "a"\n',
            "config.toml, line 5: 'sofa' and 'bedroom' have the same device_id 'a': two names",
        ),
        ('device = "sim:"\n' + BEDROOM, "config.toml, line 1: device and [[devices]] are both "),
        (
            BEDROOM + 'nmae = "x"\n',
            "config.toml, line 1: nmae is no setting of a device; the nearest is name",
        ),
        (SOFA + "[[devices]]\ndevice = 'sim:'\n", "config.toml, line 4: name is missing: 1 to 24"),
        (
            BEDROOM.replace("bedroom", "bed room"),
            "config.toml, line 1: name is 1 to 24 letters, digits, _ or -, not 'bed room'",
        ),
        (
            BEDROOM + 'remote.start = "always"\n',
            "config.toml, line 1: remote.start is feet, direct or armed, not 'always'",
        ),
        (BEDROOM + "max_intensity = 11\n", "config.toml, line 1: max_intensity is a whole number"),
        (BEDROOM.replace("serial:", "x:"), "config.toml, line 1: device is wrong: "),
        ('devices = "all"\n', "config.toml, line 1: devices is a row of tables; "),
    ],
)
def test_a_mistake_names_its_line_and_the_way_out(
    tmp_path: Path, content: str, message: str
) -> None:
    assert refused(tmp_path, content).startswith(message)
