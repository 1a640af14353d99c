"""Sessions: who owns the device, how the token is given and when it is void."""

from collections.abc import Callable
from struct import pack

import pytest

from firmware_protocol.messages import (
    Capability,
    EndReason,
    Event,
    EventCode,
    Identity,
    Nak,
    Reason,
    ResetCause,
    State,
    Status,
)
from tests.conformance.backends import Build
from tests.conformance.rig import ESTOP, HELLO, SET_LEVEL, Answer, Rig, read, refused


def say_hello(device: Rig, nonce: int, sequence: int = 1, flags: int = 0) -> Answer:
    return device.command(HELLO, pack("<BBBI", flags, 1, 1, nonce), token=0, sequence=sequence)


def test_identity_tells_who_the_device_is(device: Rig) -> None:
    identity = device.hello(nonce=0x01020304)
    assert identity.host_nonce == 0x01020304
    assert (identity.major, identity.boot_id, identity.speed) == (1, 1, 1)
    assert identity.name == "sim-0001"
    assert identity.reset_cause == ResetCause.POWER_ON
    assert identity.capabilities & Capability.FEET_SENSOR


def test_a_device_without_a_feet_sensor_says_so(build: Callable[[Build], Rig]) -> None:
    identity = build(Build(feet_sensor=False)).hello()
    assert not identity.capabilities & Capability.FEET_SENSOR


def test_a_session_begins_ready_with_nothing_asked_and_no_lease(device: Rig) -> None:
    device.hello()
    status = device.status()
    assert status.state == State.READY
    assert (status.setpoint_permille, status.output_permille, status.lease_left_ms) == (0, 0, 0)
    assert device.event_codes == [EventCode.BOOT, EventCode.SESSION_OPENED]


def test_no_lease_runs_before_the_first_set_level(device: Rig) -> None:
    device.hello()
    device.advance(3_600_000)
    assert device.status().state == State.READY


def test_identify_only_answers_with_token_0_and_touches_nothing(device: Rig) -> None:
    device.run_at(300)
    before = device.status()
    answer = say_hello(device, nonce=99, sequence=200, flags=1)
    assert isinstance(answer.message, Identity)
    assert answer.message.host_nonce == 99
    assert answer.header.token == 0
    assert device.status() == before
    assert device.set_level(300).output_permille == 300


def test_identify_only_with_the_session_s_own_nonce_touches_nothing_either(device: Rig) -> None:
    device.hello(nonce=5)
    assert say_hello(device, nonce=5, flags=1).header.token == 0
    assert device.status().state == State.READY


def test_flags_that_mean_nothing_yet_are_ignored(device: Rig) -> None:
    assert say_hello(device, nonce=5, flags=0xFE).header.token != 0


def test_a_hello_with_the_same_nonce_is_a_repeat_and_stops_nothing(device: Rig) -> None:
    device.hello(nonce=7)
    device.stream(300, 20_000)
    before = device.status()
    answer = say_hello(device, nonce=7, sequence=99)
    assert isinstance(answer.message, Identity)
    assert answer.header.token == device.token
    assert answer.header.sequence == 99
    assert device.status() == before
    assert device.set_level(300).output_permille == 300  # its sequence was not touched either


def test_a_hello_with_another_nonce_takes_over_and_the_old_host_is_refused(device: Rig) -> None:
    device.run_at(300)
    answer = say_hello(device, nonce=8, sequence=50)
    assert answer.header.token not in (0, device.token)
    assert device.event_codes == [EventCode.TAKEN_OVER, EventCode.SESSION_OPENED]
    assert refused(device.ask_level(300), Reason.SESSION, 4)
    status = device.status()
    assert status.end_reason == EndReason.NONE
    assert (status.state, status.setpoint_permille) == (State.STOPPING, 0)
    assert status.lease_left_ms == 0


def test_a_take_over_falls_softly_and_the_new_host_waits_for_0(device: Rig) -> None:
    device.run_at(400)
    device.hello(nonce=8)
    assert device.status().ceiling_permille == 150
    device.advance(100)
    assert device.output == 350
    assert refused(device.ask_level(300), Reason.STOPPING, 350)
    assert refused(device.ask_level(0), Reason.STOPPING, 350)
    device.advance(400)
    assert device.output == 150
    device.advance(1)
    assert device.output == 0
    device.set_level(300)
    device.advance(1)
    assert device.output == 150


def test_a_repeated_hello_during_a_take_over_does_not_disturb_the_fall(device: Rig) -> None:
    device.run_at(400)
    device.hello(nonce=8)
    device.advance(100)
    assert say_hello(device, nonce=8).header.token == device.token
    device.advance(100)
    assert device.output == 300


def test_the_nonce_of_a_void_session_opens_a_new_one(device: Rig) -> None:
    device.hello(nonce=7)
    device.stop()
    answer = say_hello(device, nonce=7)
    assert answer.header.token not in (0, device.token)


def test_a_hello_after_a_stop_took_nothing_over(device: Rig) -> None:
    device.hello(nonce=7)
    device.stop()
    device.forget_events()
    device.hello(nonce=8)
    assert device.event_codes == [EventCode.SESSION_OPENED]
    assert device.status().end_reason == EndReason.NONE


def test_a_token_is_the_low_byte_of_the_boot_id_and_a_counter_from_1(
    build: Callable[[Build], Rig],
) -> None:
    device = build(Build(boot_id=0x1234))
    device.hello(nonce=1)
    assert device.token == 0x3401
    device.hello(nonce=2)
    assert device.token == 0x3402


def test_tokens_of_one_boot_wrap_without_ever_being_0(build: Callable[[Build], Rig]) -> None:
    device = build(Build(boot_id=256))
    tokens = []
    for nonce in range(256):
        device.hello(nonce)
        tokens.append(device.token)
    assert tokens == [*range(1, 256), 1]


def test_no_token_of_one_boot_is_good_in_the_next(device: Rig) -> None:
    tokens = set()
    for nonce in range(255):
        device.hello(nonce)
        tokens.add(device.token)
    device.backend.reboot()
    for nonce in range(255):
        device.hello(nonce)
        assert device.token not in tokens


def test_while_a_session_is_open_its_end_reason_is_none(device: Rig) -> None:
    device.run_at(300)
    say_hello(device, nonce=8, sequence=50)
    assert device.status().end_reason == 0


def test_a_reboot_forgets_the_session_and_counts_the_boot(device: Rig) -> None:
    device.run_at(300)
    device.backend.reboot()
    assert device.output == 0
    assert refused(device.ask_level(300), Reason.SESSION, 0)
    status = device.status()
    assert (status.boot_id, status.state) == (2, State.IDLE)
    assert (status.uptime_ms, status.event_id) == (0, 1)
    assert device.event_codes == [EventCode.BOOT]
    device.advance(60_000)
    assert device.output == 0


def test_boot_id_65535_is_followed_by_1(build: Callable[[Build], Rig]) -> None:
    device = build(Build(boot_id=65_535))
    device.backend.reboot()
    assert device.status().boot_id == 1


def test_a_reboot_forgets_the_latch_and_moves_nothing(device: Rig) -> None:
    device.run_at(300)
    device.emergency_stop()
    device.backend.reboot()
    status = device.status()
    assert (status.latch_id, status.faults, status.output_permille) == (0, 0, 0)


@pytest.mark.parametrize(("end", "limit"), [("stop", 1), ("estop", 2), ("lease", 3), ("button", 1)])
def test_every_end_voids_the_token_and_the_refusal_says_why(
    device: Rig, end: str, limit: int
) -> None:
    device.run_at(300)
    match end:
        case "stop":
            device.stop()
        case "estop":
            device.emergency_stop()
        case "lease":
            device.advance(1500)
        case "button":
            device.backend.press_button()
    assert refused(device.ask_level(300), Reason.SESSION, limit)
    device.advance(60_000)
    assert device.output == 0


def test_the_sequence_starts_at_the_hello_s(device: Rig) -> None:
    answer = say_hello(device, nonce=3, sequence=250)
    token = answer.header.token
    payload = pack("<HH", 300, 1500)
    same = device.command(SET_LEVEL, payload, token=token, sequence=250).message
    assert refused(same, Reason.STALE, 250)
    taken = device.command(SET_LEVEL, payload, token=token, sequence=251).message
    assert isinstance(taken, Status)


def test_a_hello_is_answered_while_latched_and_only_its_levels_are_refused(device: Rig) -> None:
    latch_id = device.emergency_stop().latch_id
    device.hello()
    assert refused(device.ask_level(300), Reason.LATCHED, latch_id)
    assert device.status().state == State.LATCHED


def test_the_end_reason_is_that_of_a_session_that_was_open(device: Rig) -> None:
    device.hello()
    device.stop()
    assert device.emergency_stop().end_reason == EndReason.STOP
    assert isinstance(device.ask_level(0), Nak)


def test_the_events_that_a_command_makes_come_behind_its_reply(device: Rig) -> None:
    device.hello()
    device.forget_events()
    header = pack("<BBBH", 1, ESTOP, 9, device.token)
    told = [type(read(raw).message) for raw in device.backend.send(header)]
    assert told == [Status, Event]
