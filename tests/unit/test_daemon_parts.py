"""The daemon's small parts: waiting between tries, what a start leaves out, systemd's notices."""

import math
import os
import socket
from pathlib import Path

import pytest

from massager.daemon.backoff import wait_s
from massager.daemon.choosing import Defaults
from massager.daemon.face import (
    UNREAD_EVENTS_MAX,
    Origin,
    RefusalKind,
    StartRefused,
    Subscription,
)
from massager.daemon.presence import now
from massager.daemon.systemd import Notifier
from massager.errors import UsageError

# --- waiting --------------------------------------------------------------------------------------


def test_waits_double_up_to_60_s_and_are_never_longer() -> None:
    assert [wait_s(tries, 0.0) for tries in range(1, 10)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert wait_s(1_000_000, 0.0) == 60


def test_many_controllers_do_not_come_back_in_the_same_moment() -> None:
    waits = {wait_s(5, chance / 100) for chance in range(101)}
    assert len(waits) == 101
    assert (min(waits), max(waits)) == (6, 8)


# --- choosing -------------------------------------------------------------------------------------


def test_what_a_start_leaves_out_is_as_the_config_has_it() -> None:
    defaults = Defaults(intensity=4, minutes=6, warmup_s=60, shape="hold", program="deep")
    choice = defaults.choice()
    assert (choice.intensity, choice.massage_ms, choice.warmup_ms) == (4, 360_000, 60_000)
    assert (choice.shape.value, choice.program.name) == ("hold", "deep")
    other = defaults.choice(intensity=7, minutes=7.5, program="classic")
    assert (other.intensity, other.massage_ms, other.program.name) == (7, 450_000, "classic")


@pytest.mark.parametrize(
    ("key", "value", "range_in_words"),
    [
        ("intensity", 0, "a whole number from 1 to 10"),
        ("intensity", 11, "a whole number from 1 to 10"),
        ("intensity", 7.4, "a whole number from 1 to 10"),
        ("intensity", True, "a whole number from 1 to 10"),
        ("intensity", "6", "a whole number from 1 to 10"),
        ("minutes", 4.9, "a number from 5 to 10"),
        ("minutes", 10.1, "a number from 5 to 10"),
        ("minutes", math.nan, "a number from 5 to 10"),
        ("minutes", math.inf, "a number from 5 to 10"),
        ("minutes", [8], "a number from 5 to 10"),
        ("warmup_s", 59, "a number of seconds from 60 to 120"),
        ("warmup_s", 121, "a number of seconds from 60 to 120"),
        ("shape", "square", "linear or hold"),
        ("program", 7, "the name or the file of a program"),
    ],
)
def test_a_value_out_of_its_range_is_refused_with_the_range(
    key: str, value: object, range_in_words: str
) -> None:
    with pytest.raises(UsageError, match=range_in_words):
        Defaults().choice(**{key: value})


def test_a_huge_value_makes_no_huge_message() -> None:
    with pytest.raises(UsageError) as caught:
        Defaults().choice(intensity="x" * 70_000)
    assert len(str(caught.value)) < 120


# --- events ---------------------------------------------------------------------------------------


async def test_events_that_nobody_reads_are_bounded_and_the_oldest_go() -> None:
    events = Subscription()
    for number in range(UNREAD_EVENTS_MAX + 3):
        refused = StartRefused("bed", now(), Origin.MQTT, RefusalKind.BUSY, str(number))
        events.put(refused)
    assert events.dropped == 3
    first = await events.next()
    assert isinstance(first, StartRefused)
    assert first.why == "3"


# --- systemd --------------------------------------------------------------------------------------


def test_without_systemd_nothing_is_told() -> None:
    notifier = Notifier({})
    notifier.ready()
    notifier.close()
    assert notifier.alive_every_s is None


def test_a_sign_of_life_comes_three_times_in_the_watchdog_s_time() -> None:
    assert Notifier({"WATCHDOG_USEC": "9000000"}).alive_every_s == 3
    own = {"WATCHDOG_USEC": "9000000", "WATCHDOG_PID": str(os.getpid())}
    assert Notifier(own).alive_every_s == 3
    assert Notifier(own | {"WATCHDOG_PID": "1"}).alive_every_s is None  # meant for another process


@pytest.mark.parametrize("abstract", [True, False])
def test_a_notice_is_one_datagram(tmp_path: Path, abstract: bool) -> None:
    name = f"massager-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}" if abstract else name)
        listener.settimeout(5)
        notifier = Notifier({"NOTIFY_SOCKET": f"@{name}" if abstract else name})
        notifier.ready()
        notifier.stopping()
        assert [listener.recv(100), listener.recv(100)] == [b"READY=1", b"STOPPING=1"]
        notifier.close()
        notifier.ready()  # nothing, and no error
