"""The serial transport on real ptys."""

import asyncio
import errno
import fcntl
import os
import subprocess
import sys
import termios
import time
import tty
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from massager.errors import ConnectionLost, NoDevice, PortBusy, PortMissing, PortNotPermitted
from massager.transports import open_transport, parse_url
from massager.transports.serial import (
    SerialPort,
    SerialTransport,
    explain_open_error,
    serial_ports,
)
from massager.transports.url import SerialUrl
from tests.e2e.recorder import Recorder


class Pty:
    """A device's end of a line; the host opens `path`. Nothing else holds the host's end."""

    def __init__(self) -> None:
        self.master, slave = os.openpty()
        self.path = os.ttyname(slave)
        tty.setraw(slave)
        os.close(slave)
        os.set_blocking(self.master, False)

    def read(self) -> bytes:
        try:
            return os.read(self.master, 65_536)
        except (BlockingIOError, OSError):
            return b""

    def write(self, data: bytes) -> None:
        os.write(self.master, data)

    def unplug(self) -> None:
        if self.master >= 0:
            os.close(self.master)
            self.master = -1


def _line_speed(path: str) -> int:
    """What the system is set to; `stty` cannot tell a rate without a name of its own."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY)
    try:
        termios2 = fcntl.ioctl(descriptor, 0x802C542A, bytes(44))  # TCGETS2
        return int.from_bytes(termios2[40:44], sys.byteorder)
    finally:
        os.close(descriptor)


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def pty() -> Iterator[Pty]:
    made = Pty()
    yield made
    made.unplug()


def serial_to(
    path: str, ports: list[SerialPort] | None = None, baud: int = 57_600
) -> SerialTransport:
    there = ports if ports is not None else []
    return SerialTransport(SerialUrl(path, baud), lambda: there)


@pytest.fixture
async def transport(pty: Pty) -> AsyncIterator[SerialTransport]:
    made = serial_to(pty.path)
    yield made
    await made.close()


async def test_bytes_pass_both_ways_unchanged(pty: Pty, transport: SerialTransport) -> None:
    every_byte = bytes(range(256))
    recorder = Recorder()
    await transport.open(recorder)
    pty.write(every_byte)
    await recorder.until_data(every_byte)
    sent = b""
    for start in range(0, 256, 32):
        transport.write(every_byte[start : start + 32])
        sent += pty.read()
    assert sent == every_byte


async def test_a_write_reaches_the_line_before_it_returns(
    pty: Pty, transport: SerialTransport
) -> None:
    await transport.open(Recorder())
    transport.write(b"stop", urgent=True)
    assert pty.read() == b"stop"


async def test_an_unplug_is_told_once_and_within_milliseconds(
    pty: Pty, transport: SerialTransport
) -> None:
    recorder = Recorder()
    await transport.open(recorder)
    began = time.perf_counter()
    pty.unplug()
    error = await recorder.until_lost()
    assert time.perf_counter() - began < 0.1
    await asyncio.sleep(0.02)
    assert recorder.losses == [error]
    assert isinstance(error, ConnectionLost)
    assert pty.path in str(error)


async def test_a_loss_met_by_a_write_is_told_after_the_write_returned(
    pty: Pty, transport: SerialTransport
) -> None:
    recorder = Recorder()
    await transport.open(recorder)
    pty.unplug()
    transport.write(b"level")
    assert recorder.losses == []
    await recorder.until_lost()
    assert len(recorder.losses) == 1


async def test_nothing_is_told_after_close(pty: Pty, transport: SerialTransport) -> None:
    recorder = Recorder()
    await transport.open(recorder)
    pty.unplug()
    transport.write(b"level")  # meets the loss
    await transport.close()
    await asyncio.sleep(0.02)
    assert recorder.losses == []


async def test_write_and_close_do_nothing_where_nothing_is_open(
    transport: SerialTransport,
) -> None:
    transport.write(b"level")
    transport.write(b"stop", urgent=True)
    assert transport.unsent_bytes() == 0
    await transport.close()
    await transport.close()


async def test_closing_leaves_no_descriptor_open(pty: Pty) -> None:
    before = _descriptors()
    for _ in range(3):
        transport = serial_to(pty.path)
        await transport.open(Recorder())
        await transport.close()
    assert _descriptors() == before


async def test_what_was_written_before_close_arrives(pty: Pty, transport: SerialTransport) -> None:
    await transport.open(Recorder())
    transport.write(b"goodbye")
    await transport.close()
    assert pty.read() == b"goodbye"


async def test_an_unread_line_takes_no_more_than_its_buffer_and_a_stop_still_goes_out(
    pty: Pty, transport: SerialTransport
) -> None:
    await transport.open(Recorder())
    began = time.perf_counter()
    for _ in range(4000):
        transport.write(b"x" * 20)
    assert transport.unsent_bytes() <= 64
    assert time.perf_counter() - began < 1  # it never waits
    transport.write(b"stop", urgent=True)
    arrived = b""
    for _ in range(50):
        arrived += pty.read()
        await asyncio.sleep(0.002)
    assert arrived.endswith(b"stop")
    assert arrived.count(b"x") <= 4096  # the reader had these already; the rest was thrown away


async def test_the_line_goes_on_after_it_was_full(pty: Pty, transport: SerialTransport) -> None:
    await transport.open(Recorder())
    for _ in range(4000):
        transport.write(b"x" * 20)
    for _ in range(50):
        pty.read()
        await asyncio.sleep(0.002)
    transport.write(b"level")
    await asyncio.sleep(0.01)
    assert pty.read() == b"level"


async def test_silence_is_not_taken_for_an_unplug(pty: Pty, transport: SerialTransport) -> None:
    recorder = Recorder()
    await transport.open(recorder)
    transport._readable()  # a wake-up without data
    pty.write(b"here")
    await recorder.until_data(b"here")
    assert recorder.losses == []


@pytest.mark.parametrize("baud", [38_400, 57_600, 115_200, 250_000])
async def test_every_allowed_baud_rate_is_set(pty: Pty, baud: int) -> None:
    transport = serial_to(pty.path, baud=baud)
    await transport.open(Recorder())
    assert _line_speed(pty.path) == baud
    await transport.close()


async def test_a_second_opener_is_told_who_holds_the_port(
    pty: Pty, transport: SerialTransport
) -> None:
    await transport.open(Recorder())
    with pytest.raises(PortBusy, match=rf"{pty.path} is in use by pid {os.getpid()} "):
        await serial_to(pty.path).open(Recorder())


async def test_the_port_is_free_again_after_close_and_after_a_killed_owner(pty: Pty) -> None:
    script = (
        "import serial, sys; port = serial.Serial(sys.argv[1], exclusive=True);"
        "print('open', flush=True); sys.stdin.read()"
    )
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, pty.path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    transport = serial_to(pty.path)
    also_open = os.open(pty.path, os.O_RDWR | os.O_NOCTTY)  # here, without a lock
    try:
        assert owner.stdout is not None
        assert await owner.stdout.readline() == b"open\n"
        with pytest.raises(PortBusy, match=rf"in use by pid {owner.pid} \([^)]*\);"):
            await transport.open(Recorder())
    finally:
        os.close(also_open)
        owner.kill()
        await owner.communicate()
    for _ in range(2):
        await transport.open(Recorder())
        await transport.close()


async def test_a_pty_that_another_process_keeps_open_may_be_opened_by_anybody_afterwards(
    pty: Pty, transport: SerialTransport
) -> None:
    """TIOCEXCL would stay on the pty until its last opener is gone, and keep out all but root."""
    kept = os.open(pty.path, os.O_RDWR | os.O_NOCTTY)
    await transport.open(Recorder())
    await transport.close()
    exclusive = fcntl.ioctl(kept, 0x80045440, bytes(4))  # TIOCGEXCL
    os.close(kept)
    assert exclusive == bytes(4)


async def test_a_missing_port_is_named_with_those_that_are_there() -> None:
    there = [SerialPort("/dev/ttyACM0", "Arduino Uno", "5573")]
    with pytest.raises(PortMissing) as caught:
        await serial_to("/dev/nothing-here", there).open(Recorder())
    assert "/dev/nothing-here is not there" in str(caught.value)
    assert "/dev/ttyACM0 (Arduino Uno, serial number 5573)" in str(caught.value)
    with pytest.raises(PortMissing, match="no serial port is there at all"):
        await serial_to("/dev/nothing-here").open(Recorder())


@pytest.mark.parametrize("path", ["/dev/null", "/etc/hostname", "/tmp"])
async def test_what_is_no_serial_port_is_refused(path: str) -> None:
    with pytest.raises(PortMissing, match=f"{path} is no serial port that works"):
        await serial_to(path).open(Recorder())


async def test_a_loop_of_links_is_a_missing_port(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(PortMissing, match="is not there"):
        await serial_to(str(tmp_path / "a")).open(Recorder())


def test_a_port_of_another_group_names_the_group_and_the_command(pty: Pty) -> None:
    Path(pty.path).chmod(0o660)
    os.chown(pty.path, -1, 20)  # dialout on Debian
    error = explain_open_error(pty.path, PermissionError(errno.EACCES, "Permission denied"), [])
    assert isinstance(error, PortNotPermitted)
    assert "belongs to the group dialout; run `sudo usermod -aG dialout " in str(error)


def test_a_port_that_its_owner_keeps_to_itself_needs_a_rule(pty: Pty) -> None:
    Path(pty.path).chmod(0o600)
    error = explain_open_error(pty.path, PermissionError(errno.EPERM, "not permitted"), [])
    assert isinstance(error, PortNotPermitted)
    assert "udev rule" in str(error)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_a_user_without_the_right_is_told_so(pty: Pty) -> None:
    Path(pty.path).chmod(0o600)
    script = (
        "import asyncio, os, sys;"
        "import massager.transports.serial;"  # the interpreter may be out of that user's reach
        "from massager.transports import open_transport;"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534);"
        "asyncio.run(open_transport('serial:' + sys.argv[1]).open(None))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, pty.path], capture_output=True, text=True, cwd="/"
    )
    assert "PortNotPermitted" in ended.stderr


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.EBUSY, PortBusy),
        (errno.EAGAIN, PortBusy),
        (errno.ENXIO, PortMissing),
        (errno.ENODEV, PortMissing),
        (errno.EIO, NoDevice),
    ],
)
def test_what_the_system_says_becomes_the_error_for_it(code: int, kind: type[NoDevice]) -> None:
    error = explain_open_error("/dev/ttyUSB9", OSError(code, os.strerror(code)), [])
    assert type(error) is kind
    assert "/dev/ttyUSB9" in str(error)


async def test_a_termios_error_while_opening_is_no_traceback(pty: Pty) -> None:
    error = explain_open_error(pty.path, termios.error(5, "Input/output error"), [])
    assert isinstance(error, PortMissing)


# --- identity --------------------------------------------------------------------------------


async def test_a_serial_number_finds_its_port(pty: Pty) -> None:
    there = [SerialPort("/dev/other", "x", "B2"), SerialPort(pty.path, "Uno", "A1")]
    transport = serial_to("A1", there)
    await transport.open(Recorder())
    transport.write(b"hello")
    assert pty.read() == b"hello"
    await transport.close()


async def test_an_unknown_or_doubled_serial_number_is_refused(pty: Pty) -> None:
    with pytest.raises(PortMissing, match="USB serial number A1: no port carries it; there are"):
        await serial_to("A1", [SerialPort("/dev/ttyUSB0", "x", "B2")]).open(Recorder())
    twins = [SerialPort(pty.path, "x", "0001"), SerialPort("/dev/ttyUSB1", "x", "0001")]
    with pytest.raises(PortMissing, match="2 ports carry it"):
        await serial_to("0001", twins).open(Recorder())


async def test_a_renumbered_adapter_is_found_again_by_its_serial_number(pty: Pty) -> None:
    uno = (0x2341, 0x43)
    there = [SerialPort(pty.path, "Uno", "A1", uno)]
    transport = serial_to(pty.path, there)
    recorder = Recorder()
    await transport.open(recorder)
    pty.unplug()
    await recorder.until_lost()
    foreign, moved = Pty(), Pty()
    there[:] = [
        SerialPort(foreign.path, "other", "B2", uno),
        SerialPort(moved.path, "Uno", "A1", uno),
    ]
    await transport.open(recorder)
    transport.write(b"hello")
    assert (foreign.read(), moved.read()) == (b"", b"hello")
    await transport.close()
    foreign.unplug()
    moved.unplug()


async def test_of_two_adapters_alike_the_one_under_the_old_name_is_taken(pty: Pty) -> None:
    """Cheap adapters of one make all carry the same serial number."""
    there = [SerialPort("/dev/other", "CP2102", "0001"), SerialPort(pty.path, "CP2102", "0001")]
    transport = serial_to(pty.path, there)
    await transport.open(Recorder())
    await transport.open(Recorder())
    transport.write(b"hello")
    assert pty.read() == b"hello"
    await transport.close()


async def test_a_foreign_adapter_under_the_old_name_is_not_opened(pty: Pty) -> None:
    there = [SerialPort(pty.path, "Uno", "A1")]
    transport = serial_to(pty.path, there)
    await transport.open(Recorder())
    await transport.close()
    there[:] = [SerialPort(pty.path, "Uno", "B2")]
    with pytest.raises(PortMissing, match=r"\(USB serial number A1\): no port carries it"):
        await transport.open(Recorder())


async def test_a_link_is_followed_anew_at_each_opening(tmp_path: Path, pty: Pty) -> None:
    link = tmp_path / "massager"
    link.symlink_to(pty.path)
    transport = serial_to(str(link), [SerialPort(str(link), "Uno", "A1")])
    recorder = Recorder()
    await transport.open(recorder)
    pty.unplug()
    await recorder.until_lost()
    second = Pty()
    link.unlink()
    link.symlink_to(second.path)
    await transport.open(recorder)
    transport.write(b"hello")
    assert second.read() == b"hello"
    await transport.close()
    second.unplug()


async def test_opening_again_lets_go_of_what_was_open(pty: Pty, transport: SerialTransport) -> None:
    first, second = Recorder(), Recorder()
    await transport.open(first)
    await transport.open(second)
    pty.write(b"news")
    await second.until_data(b"news")
    assert first.chunks == []


async def test_the_registry_opens_a_serial_url(pty: Pty) -> None:
    transport = open_transport(f"serial:{pty.path}?baud=115200")
    assert transport.url == f"serial:{pty.path}?baud=115200"
    assert not transport.datagrams
    assert parse_url(transport.url) == SerialUrl(pty.path, 115_200)
    await transport.open(Recorder())
    transport.write(b"hello")
    assert pty.read() == b"hello"
    await transport.close()


def test_listing_ports_never_fails() -> None:
    assert isinstance(serial_ports(), list)
