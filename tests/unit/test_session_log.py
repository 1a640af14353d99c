"""What becomes a line of the history, from snapshots as the session gives them."""

from dataclasses import replace
from typing import TypeVar

from massager.history.records import Sample
from massager.history.session_log import Line, Met, Note, SessionLog, Totals
from massager.session.model import (
    Extend,
    HardStop,
    Pause,
    Request,
    Resume,
    SetIntensity,
    SoftStop,
    Start,
    StopReason,
)
from massager.snapshot import Snapshot
from tests.world import World, choice

_T = TypeVar("_T")

RUNS = Snapshot(
    "massage",
    at_ms=5_000,
    device="foot-1",
    simulated=False,
    intensity=6,
    setpoint_permille=600,
    output_permille=590,
    time_total_ms=580_000,
    motor_on_ms=4_000,
    highest_output_permille=600,
    feet="on",
    temperature_c=31.0,
)


def after_start() -> SessionLog:
    log = SessionLog()
    log.of(Snapshot("connecting", at_ms=1_000))
    log.of(RUNS)
    return log


def only(lines: list[Line], kind: type[_T]) -> list[_T]:
    return [line for line in lines if isinstance(line, kind)]


def notes(lines: list[Line]) -> list[tuple[int, str, str]]:
    return [(note.elapsed_ms, note.kind, note.text) for note in only(lines, Note)]


def test_the_first_look_at_a_device_says_who_it_is_once() -> None:
    log = SessionLog()
    assert notes(log.of(Snapshot("connecting", at_ms=1_000))) == [(0, "phase", "connecting")]
    lines = log.of(RUNS)
    assert only(lines, Met) == [Met("foot-1", simulated=False)]
    assert notes(lines) == [(4_000, "device", "foot-1"), (4_000, "phase", "massage")]
    assert only(log.of(replace(RUNS, at_ms=6_500)), Met) == []


def test_a_sample_is_taken_once_in_a_second_on_a_grid() -> None:
    log = after_start()
    taken = []
    for at_ms in range(5_000, 15_000, 250):
        taken += only(log.of(replace(RUNS, at_ms=at_ms + 7)), Sample)
    assert [sample.elapsed_ms for sample in taken] == [*range(5_007, 14_000, 1_000)]
    assert taken[0] == Sample(5_007, "massage", 600, 590, 6, "on", 31.0)


def test_a_sign_of_life_comes_even_before_a_device_is_known() -> None:
    log = SessionLog()
    assert only(log.of(Snapshot("idle", at_ms=0)), Totals) == [Totals(0, 0)]
    assert only(log.of(Snapshot("idle", at_ms=500)), Totals) == []
    assert only(log.of(Snapshot("connecting", at_ms=1_000)), Totals) == [Totals(0, 0)]


def test_pause_and_resume_have_their_lines() -> None:
    log = after_start()
    paused = replace(RUNS, phase="paused", reason="feet lifted")
    assert notes(log.of(paused)) == [(4_000, "pause", "feet lifted")]
    assert notes(log.of(replace(paused, at_ms=5_100))) == []
    assert notes(log.of(replace(paused, reason="link lost"))) == [(4_000, "pause", "link lost")]
    assert notes(log.of(Snapshot("connecting"))) == [(0, "phase", "connecting")]
    assert notes(log.of(RUNS)) == [(4_000, "resume", ""), (4_000, "phase", "massage")]


def test_what_a_person_changes_has_its_line() -> None:
    log = after_start()
    assert notes(log.of(replace(RUNS, intensity=7))) == [(4_000, "change", "intensity 7, was 6")]
    assert notes(log.of(replace(RUNS, intensity=7, time_total_ms=640_000))) == [
        (4_000, "change", "10.7 min in all")
    ]


def test_a_cap_that_lowers_the_intensity_has_its_line_with_the_reason() -> None:
    log = after_start()
    why = "quiet hours from 22:00 to 07:00, 3 at most"
    lowered = replace(RUNS, intensity=3, lowered_by=why)
    assert notes(log.of(lowered)) == [(4_000, "change", f"intensity 3, was 6 ({why})")]
    assert notes(log.of(lowered)) == []
    assert notes(log.of(replace(RUNS, intensity=2))) == [(4_000, "change", "intensity 2, was 3")]


def test_an_end_says_why_and_a_fault_is_called_one() -> None:
    log = after_start()
    stopping = replace(RUNS, phase="stopping", reason="stalled", detail="the motor is blocked")
    text = "stalled: the motor is blocked"
    assert notes(log.of(stopping)) == [(4_000, "fault", text), (4_000, "stop", text)]
    ended = replace(stopping, phase="ended", output_confirmed=True)
    assert notes(log.of(ended)) == [(4_000, "end", text)]
    assert log.of(ended)[0] == Totals(4_000, 600)

    log = after_start()
    ended = replace(RUNS, phase="ended", reason="link lost", detail="")
    assert notes(log.of(ended)) == [(4_000, "fault", "link lost"), (4_000, "end", "link lost")]


def test_every_request_has_words_and_a_refusal_its_reason() -> None:
    log = after_start()
    words: dict[str, Request] = {
        "start": Start(choice()),
        "pause": Pause(),
        "resume": Resume(),
        "intensity 6": SetIntensity(6),
        "1.5 min more": Extend(90_000),
        "stop": SoftStop(),
        "stop (shutdown SIGTERM)": SoftStop(StopReason.SHUTDOWN, "SIGTERM"),
        "emergency stop": HardStop(),
    }
    for text, request in words.items():
        assert log.asked(request, None, RUNS) == Note(4_000, "asked", text)
    assert log.asked(Pause(), "it is ending", RUNS) == Note(4_000, "refused", "pause: it is ending")


def test_a_whole_session_is_told_from_its_start_to_its_end() -> None:
    log, lines = SessionLog(), []
    with World(seed=3) as world:
        assert world.start(intensity=4, massage_ms=300_000, warmup_ms=60_000) is None
        while (now := world.seen).phase != "ended":
            lines += log.of(now)
            world.run(0.25)
        lines += log.of(world.seen)
    kinds = [(kind, text) for _, kind, text in notes(lines)]
    assert kinds == [
        ("phase", "connecting"),
        ("device", "sim-0001 (simulated)"),
        ("phase", "warm-up"),
        ("phase", "massage"),
        ("phase", "soft-end"),
        ("stop", "completed"),
        ("end", "completed"),
    ]
    samples = only(lines, Sample)
    assert len(samples) == len({sample.elapsed_ms // 1_000 for sample in samples[:-1]}) + 1
    assert 370 <= len(samples) <= 375
    outputs = [sample.output_permille for sample in samples if sample.output_permille is not None]
    assert max(outputs) == only(lines, Totals)[-1].highest_permille
