"""`massager config`: every value with its source, the path, and each mistake with file and line."""

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path

import pytest

from massager.cli.config_command import add_arguments, run
from massager.errors import ConfigError, UsageError

GOOD = """\
device = "mqtt://broker.local/foot-1"
intensity = 5
[limits]
max_intensity = 6
[mqtt]
username = "anna"
password = "very-secret"
"""
TOO_STEEP = """\
description = "too steep"
[pattern]
shape = "sine"
high = 1.0
low = 0.0
period_s = 0.2
"""


def arguments(*words: str) -> Namespace:
    parser = ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(GOOD, encoding="utf-8")
    path.chmod(0o600)
    return path


def environ(path: Path, **extra: str) -> dict[str, str]:
    return {"MASSAGER_CONFIG": str(path), "HOME": str(path.parent), **extra}


def test_show_tells_what_holds_for_each_of_several_devices(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        '[[devices]]\nname = "bed"\ndevice = "sim:"\nperson = "anna"\nremote.start = "armed"\n'
        '[[devices]]\nname = "sofa"\ndevice = "tcp://sofa:1"\nperson = "ben"\nmax_intensity = 4\n'
    )
    assert run(arguments(), environ(path)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:3] == [
        "  device bed: sim:, max_intensity 10, remote.start armed, person anna",
        "  device sofa: tcp://sofa:1, max_intensity 4, person ben",
    ]
    assert "  home_assistant.discovery         true  (default)" in lines

    assert run(arguments("--json"), environ(path)) == 0
    assert json.loads(capsys.readouterr().out)["devices"][1] == {
        "name": "sofa",
        "url": "tcp://sofa:1",
        "max_intensity": 4,
        "person": "ben",
    }


def test_show_names_every_value_and_where_it_comes_from(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments(), environ(file, MASSAGER_MINUTES="7")) == 0

    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == str(file)
    assert f"intensity 5 (file {file}, line 2)" in lines
    assert "minutes 7 (environment MASSAGER_MINUTES)" in lines
    assert "shape linear (default)" in lines
    assert f"limits.max_intensity 6 (file {file}, line 4)" in lines
    assert "device_id not set" in lines


@pytest.mark.parametrize("words", [("show",), ("show", "--json"), ("check",), ("check", "--json")])
def test_a_password_is_never_shown(
    words: tuple[str, ...], file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(arguments(*words), environ(file))

    captured = capsys.readouterr()
    assert "very-secret" not in captured.out + captured.err


def test_show_says_that_a_password_is_set(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(arguments("show"), environ(file))

    assert "mqtt.password set" in " ".join(capsys.readouterr().out.split())


def test_show_as_json_has_key_value_source_and_variable(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(arguments("--json"), environ(file))

    found = json.loads(capsys.readouterr().out)
    assert found["path"] == str(file)
    assert found["exists"] is True
    assert {
        "key": "intensity",
        "value": 5,
        "source": "file",
        "where": f"{file}, line 2",
        "variable": "MASSAGER_INTENSITY",
    } in found["settings"]


def test_path_is_printed_alone_for_scripts(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments("path"), environ(file)) == 0

    captured = capsys.readouterr()
    assert (captured.out, captured.err) == (f"{file}\n", "")


def test_path_says_where_a_file_would_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments("path"), environ(tmp_path / "none.toml")) == 0

    captured = capsys.readouterr()
    assert captured.out == f"{tmp_path / 'none.toml'}\n"
    assert "no file yet" in captured.err


def test_path_works_even_where_the_file_is_broken(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("= broken")

    assert run(arguments("path", "--json"), environ(file)) == 0
    assert json.loads(capsys.readouterr().out) == {"path": str(file), "exists": True}


def test_check_says_ok(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments("check"), environ(file)) == 0

    captured = capsys.readouterr()
    assert captured.out == f"ok: {file}\n"
    assert captured.err == ""


def test_check_as_json_lists_the_programs(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(arguments("check", "--json"), environ(file))

    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is True
    assert "classic" in found["programs"]


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("intensity = 99\n", 1, "1 to 10"),
        ('\nintensity = "high"\n', 2, "intensity"),
        ("intensity = nan\n", 1, "intensity"),
        ("minutes = nan\n", 1, "minutes"),
        ("intensity = 3\nintensity = 4\n", 2, "twice"),
        ("intensitty = 3\n", 1, "intensity"),
        ("[limits]\nmax_intensity = 99\n", 2, "1 to 10"),
        ("max_level = 99\n", 1, "max_level"),
        ('device = "serail:/dev/ttyUSB0"\n', 1, "serail"),
        ("intensity =\n", 1, ""),
    ],
)
def test_check_names_file_line_and_key(text: str, line: int, word: str, file: Path) -> None:
    file.write_text(text, encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        run(arguments("check"), environ(file))

    assert caught.value.exit_code == 2
    assert f"{file}, line {line}" in str(caught.value)
    assert word in str(caught.value)


def test_check_reads_every_program_of_ones_own(file: Path) -> None:
    programs = file.parent / "programs"
    programs.mkdir()
    (programs / "mine.toml").write_text(TOO_STEEP, encoding="utf-8")
    (programs / "other.toml").write_text("not = [toml", encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        run(arguments("check"), environ(file))

    assert f"{programs / 'mine.toml'}, line " in str(caught.value)
    assert f"{programs / 'other.toml'}, line " in str(caught.value)


def test_check_names_the_setting_of_a_program_that_is_not_there(file: Path) -> None:
    file.write_text('program = "knedaing"\n', encoding="utf-8")

    with pytest.raises(ConfigError, match=r"program \(file .*, line 1\).*kneading"):
        run(arguments("check"), environ(file))


def test_check_reads_the_brokers_certificate_authority(file: Path) -> None:
    (file.parent / "ca.pem").write_text("no certificate\n")
    file.write_text(f'[mqtt]\nca_file = "{file.parent / "ca.pem"}"\n', encoding="utf-8")

    with pytest.raises(ConfigError, match=r"mqtt\.ca_file \(file .*, line 2\)"):
        run(arguments("check"), environ(file))


def test_a_variable_that_is_wrong_is_named(file: Path) -> None:
    with pytest.raises(ConfigError, match="MASSAGER_INTENSITY"):
        run(arguments("check"), environ(file, MASSAGER_INTENSITY="11"))


def test_another_word_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"show\|path\|check"):
        arguments("edit")
