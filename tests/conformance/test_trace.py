"""The motor trace: what the invariants are judged from, so it must tell the device's own time."""

from collections.abc import Callable
from itertools import pairwise
from struct import pack

import pytest

from tests.conformance.rig import CLEAR, GET_LIMITS, GET_STATUS, HELLO, SET_LEVEL, Rig


def whys(device: Rig) -> list[str]:
    return [row.why for row in device.trace]


def test_a_boot_is_the_first_row(device: Rig) -> None:
    row = device.trace[0]
    assert (row.device_ms, row.boot, row.token) == (0, 1, 0)
    assert (row.state, row.why) == ("idle", "boot")
    assert (row.setpoint, row.ceiling, row.output, row.lease_left) == (0, 150, 0, 0)


def test_every_accepted_command_has_its_row(device: Rig) -> None:
    hello = pack("<BBBI", 0, 1, 1, 7)
    device.command(HELLO, pack("<BBBI", 1, 1, 1, 7), token=0)
    device.token = device.command(HELLO, hello, token=0).header.token
    device.command(HELLO, hello, token=0)
    device.command(GET_LIMITS)
    device.command(GET_STATUS, token=0)
    device.command(SET_LEVEL, pack("<HH", 0, 1500), sequence=20)
    device.command(SET_LEVEL, pack("<HH", 0, 1500), sequence=20)
    device.stop()
    device.emergency_stop()
    device.token = device.command(HELLO, hello, token=0).header.token
    device.clear(1)
    assert whys(device) == [
        "boot",
        "identify",
        "hello",
        "repeat",
        "get_limits",
        "get_status",
        "set_level",
        "repeat",
        "stop",
        "emergency_stop",
        "hello",
        "clear",
    ]


@pytest.mark.parametrize(
    "refused",
    [
        lambda device: device.command(HELLO, b"", token=0),
        lambda device: device.command(SET_LEVEL, pack("<HH", 1001, 1500)),
        lambda device: device.command(CLEAR, pack("<H", 1)),
        lambda device: device.command(GET_STATUS, sequence=0),
        lambda device: device.command(GET_STATUS, major=2),
        lambda device: device.command(0x44),
    ],
    ids=["length", "range", "state", "stale", "version", "unknown type"],
)
def test_a_refused_command_has_no_row(device: Rig, refused: Callable[[Rig], object]) -> None:
    device.hello()
    rows = len(device.trace)
    refused(device)
    assert len(device.trace) == rows


def test_a_row_tells_everything_about_its_instant(device: Rig) -> None:
    device.hello()
    device.advance(1234)
    device.set_level(300, 1500)
    row = device.trace[-1]
    assert (row.device_ms, row.boot, row.token) == (1234, 1, device.token)
    assert (row.state, row.why) == ("running", "set_level")
    assert (row.setpoint, row.ceiling, row.output, row.lease_left) == (300, 150, 0, 1500)


def test_every_change_of_the_output_has_a_row_in_its_own_millisecond(device: Rig) -> None:
    device.hello()
    device.set_level(300, 5000)
    device.advance(4000)
    changes = [(row.device_ms, row.output) for row in device.trace if row.why == "gate"]
    assert changes[:4] == [(1, 150), (41, 151), (81, 152), (121, 153)]
    assert changes[-1] == (3961, 249)


def test_a_fall_is_in_the_trace_even_if_time_jumped_over_it(device: Rig) -> None:
    device.run_at(300)
    begin = device.trace[-1].device_ms
    device.advance(10_000)
    rows = [row for row in device.trace if row.device_ms > begin]
    (end,) = [row for row in rows if row.why == "lease_expired"]
    assert (end.device_ms, end.output, end.state, end.token) == (begin + 1500, 300, "stopping", 0)
    fall = [(row.device_ms - end.device_ms, row.output) for row in rows[rows.index(end) + 1 :]]
    assert fall == [(ms, 300 - ms) for ms in range(1, 151)] + [(151, 0)]
    assert rows[-1].state == "idle"


def test_while_the_output_is_above_0_there_is_a_row_every_100_ms(device: Rig) -> None:
    device.run_at(300)
    device.stream(300, 3_000, lease_ms=5000)
    times = [row.device_ms for row in device.trace if row.output]
    assert max(after - before for before, after in pairwise(times)) <= 100


def test_at_rest_there_is_no_row(device: Rig) -> None:
    device.hello()
    rows = len(device.trace)
    device.advance(3_600_000)
    assert len(device.trace) == rows


def test_an_emergency_stop_is_one_row_with_output_0_in_its_instant(device: Rig) -> None:
    device.run_at(300)
    device.advance(50)
    at_ms = device.trace[-1].device_ms + 50
    device.emergency_stop()
    row = device.trace[-1]
    assert (row.device_ms, row.why, row.output, row.state) == (
        at_ms,
        "emergency_stop",
        0,
        "latched",
    )


def test_what_the_device_does_alone_has_its_row(device: Rig) -> None:
    device.hello()
    device.stream(150, 900_000)
    device.advance(61_000)
    device.run_at(200)
    device.backend.set_feet(False)
    device.stream(200, 5_000)
    device.backend.set_feet(True)
    device.hello(nonce=9)
    device.advance(1000)
    device.set_level(0)
    device.advance(1500)
    device.inject("overheat")
    device.advance(1000)
    alone = [
        why for why in whys(device) if why not in {"boot", "gate", "tick", "set_level", "hello"}
    ]
    assert alone == [
        "run_limit",
        "rest_over",
        "feet_lifted",
        "feet_back",
        "taken_over",
        "lease_expired",
        "over_temperature",
    ]


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        ("stall", "stall"),
        ("overheat", "over_temperature"),
        ("over_current", "over_current"),
        ("stuck_sensor", "sensor"),
    ],
)
def test_a_fault_s_row_has_its_word_and_output_0(device: Rig, broken: str, word: str) -> None:
    device.run_at(300)
    device.inject(broken)
    device.advance(1000)
    (row,) = [row for row in device.trace if row.why == word]
    assert (row.output, row.state, row.token) == (0, "latched", 0)


def test_rows_are_in_the_order_of_time(device: Rig) -> None:
    device.run_at(300)
    device.advance(5000)
    times = [row.device_ms for row in device.trace]
    assert times == sorted(times)


def test_a_reboot_is_a_row_with_output_0_and_the_next_boot_another(device: Rig) -> None:
    device.run_at(300)
    device.backend.reboot()
    before, after = device.trace[-2:]
    assert (before.why, before.output, before.boot) == ("reboot", 0, 1)
    assert (after.why, after.output, after.boot) == ("boot", 0, 2)
