"""A controller and its device in virtual time, with everything that may happen, in any order.

After every step the judge has nothing to say about the motor's trace so far, and what the
controller shows was true. `SOAK=100` in the environment runs a hundred times as many examples.
"""

import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from firmware_protocol.messages import EmergencyStop, GetStatus, Hello, SetLevel, Stop
from massager.plan import Shape
from massager.programs import program_names
from massager.session.caps import Cap
from massager.session.model import (
    Ended,
    Extend,
    HardStop,
    Idle,
    Pause,
    Permit,
    Resume,
    SetIntensity,
    SoftStop,
    Stopping,
    Terms,
)
from simulator.device import DeviceConfig
from tests.world import World

SOAK = int(os.environ.get("SOAK", "1"))
rates = st.sampled_from((0.1, 0.3, 0.7, 1.0))
directions = st.sampled_from(("down", "up", "both"))
device_faults = st.sampled_from(
    (
        *("stop_reading", "reboot", "silent_reboot", "hang"),
        *("stall", "overheat", "over_current", "stuck_sensor", "stuck_on"),
    )
)
later_caps = st.lists(st.tuples(st.integers(0, 120_000), st.integers(1, 10)), max_size=3)
waits_s = st.one_of(
    st.sampled_from((0.001, 0.01, 0.1, 0.25, 0.5, 1, 2, 5, 10, 61, 121)),
    st.integers(1, 3_000).map(lambda ms: ms / 1000),
)


class SafetyMachine(RuleBasedStateMachine):
    """The world, from outside."""

    world: World
    stopped = False  # a stop was asked for, and no start since

    @initialize(
        datagrams=st.booleans(),
        feet_sensor=st.booleans(),
        highest=st.sampled_from((1000, 700)),
        seed=st.integers(0, 1000),
        intensity=st.integers(1, 10),
        seconds=st.sampled_from((0, 1, 30, 100)),
        caps=later_caps.map(sorted),
    )
    def switch_on(
        self,
        datagrams: bool,
        feet_sensor: bool,
        highest: int,
        seed: int,
        intensity: int,
        seconds: int,
        caps: list[tuple[int, int]],
    ) -> None:
        config = DeviceConfig(feet_sensor=feet_sensor, max_permille=highest)
        permit = Permit(caps=tuple(Cap(from_ms, cap, "quiet hours") for from_ms, cap in caps))
        terms = Terms(permit=permit, as_real=True)
        self.world = World(seed=seed, datagrams=datagrams, config=config, terms=terms)
        if seconds:
            self.world.start(intensity, warmup_ms=60_000, massage_ms=300_000)
            self.world.run(seconds)

    def teardown(self) -> None:
        """Whatever state: an emergency stop that arrives ends all motion at once."""
        if not hasattr(self, "world"):
            return
        world = self.world
        world.device(fault="none")
        world.run(1)
        world.foreign(EmergencyStop())
        world.run(0)
        if not world.port.unread_bytes() and world.transport._receiver is not None:
            world.run(2 * world.line_delay_ms / 1000 + 0.3)  # what is on the line, or boots
            assert world.output == 0
        assert world.check() == []
        world.close()

    # --- time ------------------------------------------------------------------------------------

    @rule(seconds=waits_s)
    def time_passes(self, seconds: float) -> None:
        self.world.run(seconds)

    @rule(seconds=st.sampled_from((0.1, 0.4, 0.7, 2, 30)))
    def the_host_stands_still(self, seconds: float) -> None:
        self.world.freeze(seconds)

    # --- a person --------------------------------------------------------------------------------

    @precondition(lambda self: isinstance(self.world.state, Idle))
    @rule(
        intensity=st.integers(1, 10),
        shape=st.sampled_from(Shape),
        program=st.sampled_from(program_names()),
    )
    def start(self, intensity: int, shape: Shape, program: str) -> None:
        assert self.world.start(intensity, warmup_ms=60_000, shape=shape, program=program) is None
        self.stopped = False

    @rule()
    def pause(self) -> None:
        self.world.request(Pause())

    @rule()
    def resume(self) -> None:
        self.world.request(Resume())

    @rule(intensity=st.integers(-1, 12))
    def change(self, intensity: int) -> None:
        self.world.request(SetIntensity(intensity))

    @rule(more_ms=st.sampled_from((-1, 0, 60_000, 300_000, 10_000_000)))
    def extend(self, more_ms: int) -> None:
        self.world.request(Extend(more_ms))

    @rule()
    def stop(self) -> None:
        assert self.world.request(SoftStop()) is None
        self.stopped = True

    @rule()
    def emergency_stop(self) -> None:
        assert self.world.request(HardStop()) is None
        self.stopped = True

    @precondition(lambda self: isinstance(self.world.state, Ended))
    @rule()
    def take_another_controller(self) -> None:
        self.world.renew()

    @rule(on=st.booleans())
    def feet(self, on: bool) -> None:
        if self.world.config.feet_sensor:
            self.world.device(feet=on)

    @rule()
    def press_the_button(self) -> None:
        self.world.device(button="press")

    # --- the line --------------------------------------------------------------------------------

    @rule(fault=st.sampled_from(("drop", "corrupt", "duplicate")), rate=rates, direction=directions)
    def line_is_bad(self, fault: str, rate: float, direction: str) -> None:
        self.world.device(fault=fault, rate=rate, direction=direction)

    @rule(
        ms=st.sampled_from((1, 30, 150, 700)),
        jitter_ms=st.sampled_from((0, 20, 300)),
        direction=directions,
    )
    def line_is_slow(self, ms: int, jitter_ms: int, direction: str) -> None:
        self.world.device(fault="delay", ms=ms, jitter_ms=jitter_ms, direction=direction)

    @rule(ms=st.sampled_from((4, 16, 50)))
    def line_coalesces(self, ms: int) -> None:
        self.world.device(fault="coalesce", ms=ms)

    @rule(ms=st.sampled_from((0, 200, 3_000, 9_500, 20_000)))
    def cable_out_and_in(self, ms: int) -> None:
        self.world.device(fault="unplug", ms=ms)

    @rule()
    def faults_end(self) -> None:
        self.world.device(fault="none")

    # --- the device, and strangers ---------------------------------------------------------------

    @rule(fault=device_faults)
    def device_fails(self, fault: str) -> None:
        self.world.device(fault=fault)

    @rule(pick=st.integers(0, 99))
    def a_frame_comes_again(self, pick: int) -> None:
        written = self.world.transport.written
        if written:
            self.world.intrude(written[pick % len(written)])
            self.stopped = False  # it may be a whole old session, HELLO and all

    @rule(
        command=st.sampled_from(
            (Hello(0, 1, 1, 7), Hello(1, 1, 1, 8), Stop(), GetStatus(), SetLevel(1000, 5000))
        ),
        token=st.sampled_from((0, 0x0101, 0xFFFF)),
        sequence=st.integers(0, 255),
    )
    def a_stranger_speaks(self, command: Any, token: int, sequence: int) -> None:
        if isinstance(command, SetLevel) and token == 0x0101:
            return  # with the token it is no stranger
        self.world.foreign(command, token, sequence)

    # --- what always holds -----------------------------------------------------------------------

    @invariant()
    def the_judge_is_silent(self) -> None:
        if hasattr(self, "world"):
            assert self.world.check() == []

    @invariant()
    def after_a_stop_nothing_is_left_but_the_end(self) -> None:
        if hasattr(self, "world") and self.stopped:
            assert isinstance(self.world.state, Stopping | Ended | Idle)


def test_whatever_happens_the_motor_keeps_the_invariants() -> None:
    run_state_machine_as_test(
        SafetyMachine,
        settings=settings(
            max_examples=150 * SOAK,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
