"""The settings: what holds, where it comes from, and what a person is told about a mistake."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from massager.config.config import Config, config_path, describe, load
from massager.config.keys import VARIABLES
from massager.errors import ConfigError, MassagerError, UsageError
from massager.quiet_hours import QuietHours
from massager.transports import Settings

Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the config file, readable by its owner alone."""

    def write_it(content: str | bytes) -> Path:
        path = tmp_path / "config.toml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(0o600)
        return path

    return write_it


def refused(content: str | bytes, write: Write) -> str:
    """The error of a config file, without the name of its folder."""
    path = write(content)
    with pytest.raises(ConfigError) as caught:
        load({}, {}, path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert message.isprintable()
    return message.removeprefix(f"{path.parent}/")


def origins(config: Config) -> dict[str, str]:
    return {item.key: str(item.origin) for item in describe(config)}


# --- what holds -------------------------------------------------------------------------------


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    config = load({}, {}, tmp_path / "config.toml")
    assert (config.device, config.device_id) == (None, None)
    assert (config.intensity, config.minutes, config.warmup_s) == (3, 8, 90)
    assert (config.shape, config.program, config.max_intensity) == ("linear", "classic", 10)
    assert config.history_days == 180
    assert config.settings() == Settings(None, None, None, 1)
    assert config.warnings == ()
    assert set(origins(config).values()) == {"default"}


FULL = """\
device = "mqtts://broker/foot-1"
device_id = "foot-1"
intensity = 4
minutes = 7.5
warmup = 60
shape = "hold"
program = "kneading"

[limits]
max_intensity = 6

[mqtt]
username = "anna"
password = "hunter2"
ca_file = "ca.pem"
"""


def test_every_key_of_the_file_is_read(write: Write) -> None:
    path = write(FULL)
    config = load({}, {}, path)
    assert (config.device, config.device_id) == ("mqtts://broker/foot-1", "foot-1")
    assert (config.intensity, config.minutes, config.warmup_s) == (4, 7.5, 60)
    assert (config.shape, config.program, config.max_intensity) == ("hold", "kneading", 6)
    assert config.settings(speed=20) == Settings("anna", "hunter2", path.parent / "ca.pem", 20)
    assert config.programs_dir == path.parent / "programs"
    assert config.warnings == ()


def test_a_flag_stands_above_the_environment_and_that_above_the_file(write: Write) -> None:
    path = write("intensity = 2\nminutes = 5\nwarmup = 60\n")
    environ = {"MASSAGER_INTENSITY": "4", "MASSAGER_MINUTES": "6", "MASSAGER_SHAPE": ""}
    config = load({"intensity": 5, "minutes": None}, environ, path)
    assert (config.intensity, config.minutes, config.warmup_s, config.shape) == (5, 6, 60, "linear")
    where = origins(config)
    assert where["intensity"] == "flag --intensity"
    assert where["minutes"] == "environment MASSAGER_MINUTES"
    assert where["warmup"] == f"file {path}, line 3"
    assert where["shape"] == "default"


def test_every_variable_is_read(tmp_path: Path) -> None:
    environ = {
        "MASSAGER_DEVICE": "tcp://host:1",
        "MASSAGER_DEVICE_ID": "foot-1",
        "MASSAGER_INTENSITY": "4",
        "MASSAGER_MINUTES": "7.5",
        "MASSAGER_WARMUP": "60",
        "MASSAGER_SHAPE": "hold",
        "MASSAGER_PROGRAM": "deep",
        "MASSAGER_MAX_INTENSITY": "6",
        "MASSAGER_HISTORY_DAYS": "30",
        "MASSAGER_AS_REAL": "true",
        "MASSAGER_MQTT_USER": "anna",
        "MASSAGER_MQTT_PASSWORD": "hunter2",
        "MASSAGER_MQTT_CA_FILE": "ca.pem",
        "MASSAGER_MQTT_BROKER": "mqtts://anna@broker:8884",
        "MASSAGER_MQTT_PREFIX": "home/feet",
        "MASSAGER_HOME_ASSISTANT_DISCOVERY": "false",
        "MASSAGER_HOME_ASSISTANT_DISCOVERY_PREFIX": "ha",
        "MASSAGER_HOME_ASSISTANT_NODE_ID": "attic",
    }
    config = load({}, environ, tmp_path / "config.toml")
    assert (config.broker, config.mqtt_prefix) == ("mqtts://anna@broker:8884", "home/feet")
    assert (config.discovery, config.discovery_prefix, config.node_id) == (False, "ha", "attic")
    assert (config.device, config.device_id) == ("tcp://host:1", "foot-1")
    assert (config.intensity, config.minutes, config.warmup_s) == (4, 7.5, 60)
    assert (config.shape, config.program, config.max_intensity) == ("hold", "deep", 6)
    assert config.history_days == 30
    assert config.settings() == Settings("anna", "hunter2", Path("ca.pem"), 1)
    assert config.as_real is True
    kinds = {item.origin.kind for item in describe(config) if item.key in VARIABLES}
    assert kinds == {"environment"}


@pytest.mark.parametrize(
    "broker", ["host", "mqtt://", "mqtt://anna:hunter2@host", "mqtt://host/foot-1", "mqtt://h:0"]
)
def test_a_broker_is_a_url_without_a_password_or_a_device(write: Write, broker: str) -> None:
    path = write(f'[mqtt]\nbroker = "{broker}"\n')
    with pytest.raises(ConfigError, match=r"mqtt\.broker is a broker's URL") as caught:
        load({}, {}, path)
    assert "hunter2" not in str(caught.value)


# --- quiet hours, and simulated devices that count ------------------------------------------------

QUIET = '[[quiet]]\nfrom = "22:30"\nto = "07:00"\nmax_intensity = 3\n'


def test_quiet_hours_are_read_each_with_its_cap(write: Write) -> None:
    path = write(f'{QUIET}\n[[quiet]]\nfrom = "13:00"\nto = "14:30"\nmax_intensity = 5\n')
    config = load({}, {}, path)
    assert config.quiet == (QuietHours(1350, 420, 3), QuietHours(780, 870, 5))
    [shown] = [item for item in describe(config) if item.key == "quiet"]
    assert shown.value == (
        "quiet hours from 22:30 to 07:00, 3 at most; quiet hours from 13:00 to 14:30, 5 at most"
    )
    assert str(shown.origin) == f"file {path}, line 1"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('"22:30"', '"24:00"'), "line 5: from is a time of day such as \"22:30\", not '24:00'"),
        (('"22:30"', '"2230"'), "line 5: from is a time of day"),
        (('"22:30"', "22:30:00"), "line 5: from is a time of day"),
        (('"07:00"', "7"), "line 5: to is a time of day"),
        (("= 3", "= 0"), "line 5: max_intensity is a whole number from 1 to 10, not 0"),
        (("max_intensity = 3", ""), "line 5: max_intensity is missing"),
        (("max_intensity", "intensity"), "intensity is no setting of quiet hours; the nearest is"),
        (("[[quiet]]", "[quiet]"), "quiet is a row of tables; write [[quiet]] above each"),
    ],
)
def test_a_mistake_in_the_quiet_hours_is_named_with_its_line(
    change: tuple[str, str], words: str, write: Write
) -> None:
    path = write("intensity = 3\n\n\n\n" + QUIET.replace(*change))
    with pytest.raises(ConfigError) as error:
        load({}, {}, path)
    assert words in str(error.value)


@pytest.mark.parametrize("text", ["yes", "1", "True", "on"])
def test_as_real_is_true_or_false(text: str, write: Write) -> None:
    assert load({}, {}, write("as_real = true\n")).as_real is True
    assert load({}, {"MASSAGER_AS_REAL": "false"}, write("as_real = true\n")).as_real is False
    assert load({"as_real": True}, {}, write("as_real = false\n")).as_real is True
    with pytest.raises(ConfigError, match="MASSAGER_AS_REAL is true or false"):
        load({}, {"MASSAGER_AS_REAL": text}, write(""))


def test_a_device_id_belongs_to_the_device_beside_it(write: Write) -> None:
    path = write('device = "serial:/dev/ttyUSB0"\ndevice_id = "foot-1"\n')
    assert load({}, {}, path).device_id == "foot-1"
    assert load({"device": "sim:"}, {}, path).device_id is None
    assert load({}, {"MASSAGER_DEVICE": "sim:"}, path).device_id is None
    alone = write('device_id = "foot-1"\n')
    assert load({"device": "tcp://host:1"}, {}, alone).device_id == "foot-1"


def test_a_cap_below_the_default_intensity_lowers_the_default(write: Write) -> None:
    config = load({}, {}, write("limits.max_intensity = 2"))
    assert (config.intensity, config.max_intensity) == (2, 2)
    assert origins(config)["intensity"] == "default"


def test_a_chosen_intensity_above_the_cap_is_left_to_whoever_starts(write: Write) -> None:
    path = write("[limits]\nmax_intensity = 2\n")
    assert load({"intensity": 5}, {}, path).intensity == 5


def test_the_file_is_where_the_environment_says(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("intensity = 7\n")
    environ = {"MASSAGER_CONFIG": str(path)}
    assert config_path(environ) == path
    assert load({}, environ).intensity == 7
    path.unlink()
    with pytest.raises(ConfigError, match=r"mine\.toml: MASSAGER_CONFIG names it"):
        load({}, environ)


def test_otherwise_the_file_is_in_the_users_configuration_folder() -> None:
    assert config_path({}).parts[-2:] == ("massager", "config.toml")


# --- the password -----------------------------------------------------------------------------


def test_a_password_is_never_shown(write: Write) -> None:
    config = load({}, {}, write(FULL))
    assert "hunter2" not in repr(config)
    assert "hunter2" not in str(describe(config))
    assert {item.key: item.value for item in describe(config)}["mqtt.password"] == "set"
    nothing = load({}, {}, write(""))
    assert {item.key: item.value for item in describe(nothing)}["mqtt.password"] is None


def test_a_password_may_come_from_a_file_beside_the_config(write: Write, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2\nmore\n")
    secret.chmod(0o600)
    path = write('[mqtt]\npassword_file = "secret"\n')
    config = load({}, {}, path)
    assert (config.mqtt_password, config.warnings) == ("hunter2", ())
    assert origins(config)["mqtt.password"] == f"file {path}, line 2"
    home = write('[mqtt]\npassword_file = "~/secret"\n')
    assert load({}, {"HOME": str(tmp_path)}, home).mqtt_password == "hunter2"
    named = {"MASSAGER_MQTT_PASSWORD_FILE": str(secret)}
    assert load({}, named, write("")).mqtt_password == "hunter2"


def test_a_password_of_the_environment_stands_above_the_files(write: Write) -> None:
    path = write('[mqtt]\npassword_file = "not-there"\n')
    config = load({}, {"MASSAGER_MQTT_PASSWORD": "other"}, path)
    assert config.mqtt_password == "other"
    assert origins(config)["mqtt.password"] == "environment MASSAGER_MQTT_PASSWORD"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"", "is empty"), (b"\nx", "is empty"), (b"\xff", "not UTF-8"), (b"x" * 1025, "too long")],
)
def test_a_password_file_that_cannot_be_used_is_named(
    content: bytes, complaint: str, write: Write, tmp_path: Path
) -> None:
    path = write('[mqtt]\npassword_file = "secret"\n')
    with pytest.raises(ConfigError, match=r"password file .*secret is not there"):
        load({}, {}, path)
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"secret.* {complaint}"):
        load({}, {}, path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_others_who_can_read_a_password_are_warned_about(
    mode: int, write: Write, tmp_path: Path
) -> None:
    path = write('[mqtt]\npassword = "hunter2"\n')
    path.chmod(mode)
    (warning,) = load({}, {}, path).warnings
    assert warning == (
        f"{path} holds a password and others may read it; close it: chmod 600 {path}"
    )
    harmless = write("intensity = 3\n")
    harmless.chmod(mode)
    assert load({}, {}, harmless).warnings == ()
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    secret.chmod(mode)
    (warning,) = load({}, {}, write('mqtt.password_file = "secret"')).warnings
    assert warning.startswith(f"{secret} holds a password")


# --- mistakes in the file ---------------------------------------------------------------------

WRONG = {
    "intensity = 0": "line 1: intensity is a whole number from 1 to 10, not 0",
    "\nintensity = 11": "line 2: intensity is a whole number from 1 to 10, not 11",
    "intensity = true": "line 1: intensity is a whole number from 1 to 10, not true",
    "intensity = 7.0": "line 1: intensity is a whole number from 1 to 10, not 7.0",
    "intensity = '7'": "line 1: intensity is a whole number from 1 to 10, not '7'",
    "minutes = 4.99": "line 1: minutes is a number from 5 to 10, not 4.99",
    "minutes = nan": "line 1: minutes is a number from 5 to 10, not nan",
    "minutes = inf": "line 1: minutes is a number from 5 to 10, not inf",
    "minutes = true": "line 1: minutes is a number from 5 to 10, not true",
    "warmup = 121": "line 1: warmup is a number of seconds from 60 to 120, not 121",
    "shape = 'Linear'": "line 1: shape is linear or hold, not 'Linear'",
    "program = ''": "line 1: program is the name or the file of a program, not ''",
    "program = [1]": "line 1: program is the name or the file of a program, not [1]",
    "device = 'sim:?sed=7'": "line 1: device is wrong: device 'sim:?sed=7': unknown option 'sed'",
    "device_id = 'much-too-long'": "line 1: device_id is 1 to 8 letters, digits, _ or -, not 'much",
    "limits = 3": "line 1: limits is a table; write [limits] and its keys below",
    "[[mqtt]]\na = 1": "line 1: mqtt is a table; write [mqtt] and its keys below",
    "#\n[limits]\n#\nmax_intensity = 11": "line 4: limits.max_intensity is a whole number from 1",
    "#\nlimits = { max_intensity = 0 }": "line 2: limits.max_intensity is a whole number from 1",
    "#\nlimits . 'max_intensity' = 0": "line 2: limits.max_intensity is a whole number from 1",
    "[history]\ndays = 0": "line 2: history.days is a whole number of days from 1 to 3650, not 0",
    "history.days = 1.5": "line 1: history.days is a whole number of days from 1 to 3650, not 1.5",
    "intensity = 5\nlimits.max_intensity = 4": "line 1: intensity 5 is above limits.max_intensity",
    "[mqtt]\nusername = \"a\\nb\"": "line 2: mqtt.username is a text of 1 to 128 printable",
    "[mqtt]\npassword = ''": "line 2: mqtt.password is a text of 1 to 128 characters",
    "[mqtt]\npassword = 'a'\npassword_file = 'b'": "line 3: mqtt.password_file and mqtt.password",
    "[mqtt]\nca_file = \"a\\u0000b\"": "line 2: mqtt.ca_file is the path of a file, not 'a\\x00b'",
    # keys that do not exist
    "max_level = 99": "line 1: max_level is no setting; the nearest is max_intensity in [limits]",
    "max_intensity = 9": "line 1: max_intensity is no setting; the nearest is max_intensity in",
    "itensity = 3": "line 1: itensity is no setting; the nearest is intensity",
    "[mqtt]\n#\nuser = 'a'": "line 3: mqtt.user is no setting; the nearest is username in [mqtt]",
    "[limit]\nmax_intensity = 3": "line 1: limit is no setting",
    "intensity = 99\nitensity = 3": "line 2: itensity is no setting",
    '"\\u001b[31m" = 1': "is no setting",
    # what is not TOML
    "intensity = 3\nintensity = 4": "line 2: this key is given twice; give it once",
    "[mqtt]\n[limits]\n[mqtt]": "line 3: this table is given twice; write its keys under one",
    "intensity =": "line 1: not TOML: Invalid value",
    "intensity = 3\n[mqtt": "line 2: not TOML: ",
    "program = '''\nnever ends": "line 2: not TOML: ",
    "x = " + "[" * 60_000: "line 1",
    "intensity = " + "9" * 5000: "line 1: this is no config file",
}  # fmt: skip


@pytest.mark.parametrize("content", WRONG, ids=lambda content: repr(content[:30]))
def test_a_mistake_in_the_file_is_named_with_its_line(content: str, write: Write) -> None:
    message = refused(content, write)
    assert message.startswith("config.toml, line ")
    assert WRONG[content] in message


def test_a_mistake_about_a_password_does_not_repeat_it(write: Write) -> None:
    for content in (
        f"[mqtt]\npassword = ['hunter2', '{'x' * 200}']",
        f"[mqtt]\npassword = 'hunter2{'x' * 200}'",
        "[mqtt]\npasswort = 'hunter2'",
        "[mqtt]\npassword = 'hunter2",
        "mqtt = 'hunter2'",
        "device = 'mqtt://anna:hunter2@host/foot-1'",
    ):
        assert "hunter2" not in refused(content, write)


def test_a_file_that_is_far_too_long_is_not_parsed(write: Write) -> None:
    assert refused("#" * 65_537, write) == "config.toml is too long: 65536 bytes at most"


def test_a_file_that_is_no_text_is_refused(write: Write) -> None:
    assert refused("intensity = 3\n".encode("utf-16"), write).endswith("save the file as UTF-8")
    message = refused(b"intensity = 3\nprogram = 'gr\xfcn'\n", write)
    assert message == "config.toml, line 2: this is not UTF-8; save it as UTF-8"
    assert load({}, {}, write(b"\xef\xbb\xbfintensity = 5\r\nminutes = 6\r\n")).intensity == 5


def test_what_is_no_plain_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a directory; name the file in it"):
        load({}, {}, tmp_path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match="pipe is no file"):
        load({}, {}, pipe)
    with pytest.raises(ConfigError, match="/dev/zero is no file"):
        load({}, {}, Path("/dev/zero"))
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(ConfigError, match="loop cannot be read"):
        load({}, {}, loop)


# --- mistakes elsewhere -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "text", "rule"),
    [
        ("MASSAGER_INTENSITY", "11", "is a whole number from 1 to 10, not 11"),
        ("MASSAGER_INTENSITY", "0x4", "is a whole number from 1 to 10, not '0x4'"),
        ("MASSAGER_INTENSITY", "\u0664", "is a whole number from 1 to 10"),
        ("MASSAGER_MINUTES", "nan", "is a number from 5 to 10, not 'nan'"),
        ("MASSAGER_WARMUP", "1e2", "is a number of seconds from 60 to 120, not '1e2'"),
        ("MASSAGER_SHAPE", "round", "is linear or hold, not 'round'"),
        ("MASSAGER_DEVICE", "foot", "is wrong: device 'foot'"),
        ("MASSAGER_MQTT_PASSWORD", "hunter2" * 50, "is a text of 1 to 128 characters"),
        ("MASSAGER_MQTT_USER", "a\udce9", "is a text of 1 to 128 printable characters"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(
    variable: str, text: str, rule: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        load({}, {variable: text}, tmp_path / "config.toml")
    assert str(caught.value).startswith(f"{variable} {rule}")
    assert "hunter2" not in str(caught.value)


def test_a_mistake_in_a_flag_is_a_usage_error(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    for flags, message in (
        ({"intensity": 11}, "--intensity is a whole number from 1 to 10, not 11"),
        ({"minutes": float("nan")}, "--minutes is a number from 5 to 10, not nan"),
        ({"device": "sim"}, "--device is wrong: device 'sim'"),
    ):
        with pytest.raises(UsageError) as caught:
            load(flags, {}, path)
        assert str(caught.value).startswith(message)


def test_flags_of_other_commands_are_not_looked_at(tmp_path: Path) -> None:
    config = load({"json": True, "device_id": "x", "limits": 3}, {}, tmp_path / "config.toml")
    assert config.device_id is None


@given(st.binary(max_size=200), st.dictionaries(st.text(max_size=20), st.text(max_size=20)))
def test_any_bytes_are_settings_or_an_error_for_a_person(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, environ: dict[str, str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any-config.toml"
    path.write_bytes(content)
    environ = {f"MASSAGER_{name}": text for name, text in environ.items()}
    try:
        load({}, environ, path)
    except MassagerError:
        return
