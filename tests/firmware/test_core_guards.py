"""The core trusts neither its gate nor its memory: what breaks a rule of the gate is output 0."""

from struct import pack

import pytest

from firmware_protocol.framing import DatagramFraming
from firmware_protocol.messages import EndReason, Fault
from simulator.device import DeviceConfig
from simulator.firmware.core import HostCore

pytestmark = pytest.mark.needs("cc")


@pytest.fixture
def running() -> HostCore:
    """A core at 175 ‰ whose host wants 400 ‰, with 3,999 ms of its lease left."""
    core = HostCore(DeviceConfig(max_permille=600))
    give(core, pack("<BBBHBBBI", 1, 1, 1, 0, 0, 1, 1, 5))
    give(core, pack("<BBBHHH", 1, 3, 2, 0x0101, 400, 5000))
    core.advance(1_001)
    assert core.output_permille == 175
    core.take_trace()
    return core


def give(core: HostCore, raw: bytes) -> None:
    core.datagram(DatagramFraming().encode(raw))


def assert_it_cut_the_motor(core: HostCore, at_ms: int) -> None:
    (row,) = [row for row in core.take_trace() if row.why == "internal"]
    assert (row.device_ms, row.output, row.token, row.state) == (at_ms, 0, 0, "latched")
    assert core.output_permille == 0
    assert core.now.faults == Fault.INTERNAL
    assert core.now.latch_id == 1
    core.advance(1_000)
    assert core.output_permille == 0


def test_a_motor_that_runs_without_a_session_is_cut_in_the_next_millisecond(
    running: HostCore,
) -> None:
    running.poke("token", 0)
    running.advance(1)
    assert_it_cut_the_motor(running, 1_002)


def test_an_output_above_the_device_s_highest_is_cut_in_the_next_millisecond(
    running: HostCore,
) -> None:
    running.poke("setpoint", 900)
    running.poke("ceiling", 900_000)
    running.poke("output", 600_000)
    running.advance(1)
    assert_it_cut_the_motor(running, 1_002)
    assert running.now.last_end == EndReason.FAULT


def test_an_output_that_jumped_up_comes_down_to_what_is_earned(running: HostCore) -> None:
    running.poke("output", 590_000)
    running.advance(1)
    assert running.output_permille == 175
    assert running.now.faults == 0


@pytest.mark.parametrize("level", [1, 1_000, 149_999])
def test_an_output_below_the_gentlest_is_left_in_the_next_millisecond(
    running: HostCore, level: int
) -> None:
    running.poke("output", level)
    running.advance(1)
    assert running.output_permille == 0 or running.output_permille >= 150


def test_a_lease_that_is_lost_from_memory_does_not_run_for_ever(running: HostCore) -> None:
    running.poke("lease_left_ms", 1)
    running.advance(1)
    assert running.now.token == 0
    running.advance(200)
    assert running.output_permille == 0
