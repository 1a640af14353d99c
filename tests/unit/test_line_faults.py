"""What a bad line does: seeded, in order, and never more than it was told to."""

from random import Random

import pytest

from firmware_protocol.framing import StreamFraming
from simulator.line_faults import LineFaults

FRAME = StreamFraming().encode(bytes([1, 7, 3, 0, 0]))


def line(seed: int = 1, *, datagrams: bool = False, speed: int = 1) -> LineFaults:
    return LineFaults(Random(seed), datagrams=datagrams, speed=speed)


def test_a_sound_line_gives_every_byte_at_once() -> None:
    sound = line()
    sound.send(FRAME + FRAME + b"\x05", 10)
    assert b"".join(sound.due(10)) == FRAME + FRAME + b"\x05"
    assert sound.next_deadline_ms() is None


def test_a_rate_is_per_frame_also_where_frames_come_in_one_write() -> None:
    lossy = line()
    lossy.drop_rate = 0.2
    lossy.send(FRAME * 10_000, 0)
    kept = StreamFraming().receive(b"".join(lossy.due(0)))
    assert 7_800 < len(kept) < 8_200


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_rates_of_nought_and_one_are_never_and_always(rate: float) -> None:
    lossy = line()
    lossy.drop_rate = rate
    lossy.send(FRAME * 100, 0)
    assert len(b"".join(lossy.due(0))) == (0 if rate else 100 * len(FRAME))


def test_a_corrupt_frame_differs_in_one_bit_and_is_not_taken() -> None:
    noisy = line()
    noisy.corrupt_rate = 1.0
    for _ in range(500):
        noisy.send(FRAME, 0)
        (damaged,) = noisy.due(0)
        difference = int.from_bytes(damaged, "big") ^ int.from_bytes(FRAME, "big")
        assert difference.bit_count() == 1
        frames = StreamFraming().receive(damaged)
        assert frames in ([], [bytes([1, 7, 3, 0, 0])])  # a delimiter may be hit


def test_a_duplicate_comes_right_after_the_first() -> None:
    echoing = line()
    echoing.duplicate_rate = 1.0
    echoing.send(FRAME, 0)
    assert echoing.due(0) == [FRAME, FRAME]


def test_a_delay_holds_back_and_jitter_never_reorders() -> None:
    slow = line()
    slow.delay_ms, slow.jitter_ms = 50, 30
    for number in range(1, 101):
        slow.send(bytes([number]), number)
    arrived: list[tuple[int, bytes]] = []
    while (at_ms := slow.next_deadline_ms()) is not None:
        arrived.extend((at_ms, chunk) for chunk in slow.due(at_ms))
    assert [chunk for _, chunk in arrived] == [bytes([number]) for number in range(1, 101)]
    late = [at_ms - number for number, (at_ms, _) in enumerate(arrived, start=1)]
    assert min(late) >= 50
    assert max(late) <= 80
    assert len(set(late)) > 5


def test_one_byte_at_a_time_takes_a_millisecond_for_five() -> None:
    slow = line()
    slow.one_byte = True
    slow.send(FRAME, 100)
    assert [len(chunk) for chunk in slow.due(100)] == [1] * 5
    assert slow.next_deadline_ms() == 101
    rest = slow.due(200)
    assert [len(chunk) for chunk in rest] == [1] * (len(FRAME) - 5)


def test_coalesced_bytes_come_together_on_a_grid_of_16_ms() -> None:
    usb = line()
    usb.coalesce_ms = 16
    usb.send(FRAME, 1)
    usb.send(FRAME, 15)
    usb.send(FRAME, 17)
    assert usb.due(15) == []
    assert usb.next_deadline_ms() == 16
    assert usb.due(16) == [FRAME + FRAME]
    assert usb.next_deadline_ms() == 32
    assert usb.due(32) == [FRAME]


def test_at_a_higher_speed_a_delay_takes_as_long_in_real_time() -> None:
    slow = line(speed=20)
    slow.delay_ms = 50
    slow.send(FRAME, 0)
    assert slow.next_deadline_ms() == 1000


def test_datagrams_stay_whole() -> None:
    broken = line(datagrams=True)
    broken.one_byte = True
    broken.coalesce_ms = 10
    broken.send(b"\0one\0", 1)
    broken.send(b"two", 2)
    assert broken.due(10) == [b"\0one\0", b"two"]


def test_an_empty_message_cannot_be_damaged_and_does_no_harm() -> None:
    broken = line(datagrams=True)
    broken.corrupt_rate = 1.0
    broken.send(b"", 0)
    assert broken.due(0) == [b""]


def test_the_same_seed_gives_the_same_line() -> None:
    def run(seed: int) -> bytes:
        bad = line(seed)
        bad.drop_rate = bad.corrupt_rate = bad.duplicate_rate = 0.3
        bad.jitter_ms = 9
        for now_ms in range(200):
            bad.send(FRAME, now_ms)
        return b"".join(bad.due(1000))

    assert run(7) == run(7)
    assert run(7) != run(8)


def test_what_was_on_its_way_is_lost_with_the_cable() -> None:
    slow = line()
    slow.delay_ms = 5000
    slow.send(FRAME, 0)
    slow.lose_all()
    slow.clear()
    slow.send(FRAME, 1)
    assert slow.due(1) == [FRAME]
