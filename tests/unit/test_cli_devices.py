"""`massager devices`: what is listed, what is asked before a port is opened, what is said."""

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path

import pytest
from serial.tools.list_ports_common import ListPortInfo

from firmware_protocol.messages import Identity, Limits, Status, device_id_bytes
from massager.cli.devices import add_arguments, answer_lines, run
from massager.errors import UsageError
from massager.probe import Answer
from massager.serial_list import ListedPort, listed
from massager.transports import parse_url

ADAPTER = ListedPort("/dev/ttyNONE0", None, "A50285BI", "FTDI", "FT232R USB UART")


def arguments(*words: str) -> Namespace:
    parser = ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


def never() -> bool:
    raise AssertionError("nobody should be asked")


def test_without_a_flag_ports_are_listed_and_nobody_is_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(arguments(), lambda: [ADAPTER], never) == 0

    out = capsys.readouterr().out
    assert "/dev/ttyNONE0  FTDI FT232R USB UART, serial number A50285BI" in out
    assert "--device serial:/dev/ttyNONE0" in out
    assert "massager devices --identify" in out


def test_a_no_opens_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments("--identify"), lambda: [ADAPTER], lambda: False) == 0

    out = capsys.readouterr().out
    assert "/dev/ttyNONE0" in out
    assert "not there" not in out


def test_a_yes_opens_and_says_what_went_wrong_with_code_4(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(arguments("--identify"), lambda: [ADAPTER], lambda: True) == 4

    assert "/dev/ttyNONE0 is not there" in capsys.readouterr().out


def test_yes_asks_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments("--yes"), lambda: [ADAPTER], never) == 4

    assert "/dev/ttyNONE0 is not there" in capsys.readouterr().out


def test_where_nobody_can_be_asked_nothing_is_opened(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(arguments("--identify"), lambda: [ADAPTER]) == 0

    captured = capsys.readouterr()
    assert "--yes" in captured.err
    assert "not there" not in captured.out


def test_without_any_port_it_says_what_to_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments("--identify"), list, never) == 0

    out = capsys.readouterr().out
    for hint in ("cable", "dialout", "--device sim:", "mqtt://"):
        assert hint in out


def test_json_without_any_port_is_an_empty_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments("--json"), list, never) == 0

    assert json.loads(capsys.readouterr().out) == []


def test_json_of_a_listed_port_has_its_url_and_no_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(arguments("--json"), lambda: [ADAPTER], never)

    assert json.loads(capsys.readouterr().out) == [
        {
            "url": "serial:/dev/ttyNONE0",
            "device": "/dev/ttyNONE0",
            "by_id": None,
            "serial_number": "A50285BI",
            "manufacturer": "FTDI",
            "product": "FT232R USB UART",
        }
    ]


def test_json_of_an_asked_port_has_the_kind_of_error(capsys: pytest.CaptureFixture[str]) -> None:
    run(arguments("--json", "--yes"), lambda: [ADAPTER], never)

    (record,) = json.loads(capsys.readouterr().out)
    assert record["answer"] is None
    assert record["error"]["kind"] == "PortMissing"


def test_a_simulated_device_answers_by_its_url(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments("sim:"), never_listed, never) == 0

    out = capsys.readouterr().out
    assert "sim-0001: simulated" in out
    assert "levels 150 to 1000 ‰" in out
    assert "15 min" in out


def test_a_malformed_url_is_refused_before_anything_is_opened() -> None:
    with pytest.raises(UsageError):
        run(arguments("sim:", "serail:/dev/ttyUSB0"), never_listed, never)


def never_listed() -> list[ListedPort]:
    raise AssertionError("only the given device is of interest")


def test_an_adapter_is_named_by_its_link_which_stays_after_a_replug(tmp_path: Path) -> None:
    node = tmp_path / "ttyUSB0"
    node.touch()
    by_id = tmp_path / "by-id"
    by_id.mkdir()
    link = by_id / "usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0"
    link.symlink_to(node)

    (port,) = listed([port_info(str(node))], by_id)

    assert port.by_id == str(link)
    assert port.url == f"serial:{link}"


def test_a_link_that_no_url_can_carry_is_left_aside(tmp_path: Path) -> None:
    port = ListedPort("/dev/ttyUSB0", str(tmp_path / "a maker & son"), None, None, None)

    assert port.url == "serial:/dev/ttyUSB0"
    parse_url(port.url)


def test_texts_of_an_adapter_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    info = port_info("/dev/ttyUSB0", manufacturer="\x1b[2JEvil", product="x" * 500)

    (port,) = listed([info], tmp_path / "none")

    assert port.title.isprintable()
    assert len(port.title) < 200
    assert port.url == "serial:/dev/ttyUSB0"


def test_a_port_without_usb_says_so(tmp_path: Path) -> None:
    (port,) = listed([port_info("/dev/ttyS0", serial_number=None)], tmp_path)

    assert port.title == "no USB identity"


def port_info(
    device: str,
    *,
    serial_number: str | None = "A50285BI",
    manufacturer: str | None = None,
    product: str | None = None,
) -> ListPortInfo:
    info = ListPortInfo(device)
    info.serial_number = serial_number
    info.manufacturer = manufacturer
    info.product = product
    return info


def answer(**changes: int) -> Answer:
    identity = Identity(1, 0, 5, device_id_bytes("foot-1"), 12, 1, 3, 1, 3, 0)
    fields = {
        "state": 0,
        "end_reason": 0,
        "boot_id": 12,
        "event_id": 1,
        "faults": 0,
        "setpoint_permille": 0,
        "ceiling_permille": 150,
        "output_permille": 0,
        "lease_left_ms": 0,
        "run_time_s": 0,
        "latch_id": 0,
        "uptime_ms": 1,
        "bad_frames": 0,
        "feet": 1,
        "temperature_dc": 255,
        "current_ma": 0,
    }
    limits = Limits(150, 1000, 25, 500, 500, 5000, 900, 60, 256)
    return Answer(identity, limits, Status(**{**fields, **changes}))


def test_a_real_device_is_shown_with_model_boot_and_what_it_has() -> None:
    text = "\n".join(answer_lines(answer()))

    assert "foot-1: model 3, boot 12, protocol 1.0" in text
    assert "has: feet sensor, temperature" in text
    assert "now: idle, output 0 ‰, feet on, motor 25.5 °C" in text
    assert "latched" not in text


def test_a_latched_fault_is_shown_with_the_way_out() -> None:
    text = "\n".join(answer_lines(answer(state=5, faults=4 + 32, latch_id=3)))

    assert "latched: stall and emergency stop; take it back with: massager clear" in text
