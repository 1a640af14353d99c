"""The command `massager-simulator`: flags in, one simulated device running, exit code out."""

import argparse
import asyncio
import contextlib
import io
import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import SplitResult, unquote, urlsplit

from firmware_protocol.limits import SPEED_MAX
from simulator import commands

if TYPE_CHECKING:  # the rest is imported once it is clear that something is to run
    from simulator.bearers import Bearer
    from simulator.server import Port, SimulatorServer

PASSWORD_VARIABLE: Final = "MASSAGER_SIMULATOR_MQTT_PASSWORD"
_DEVICE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,8}")
_DEVICE_ID_DEFAULT: Final = "sim-0001"
_SEED_MAX: Final = 2**32 - 1
_BOOT_MAX: Final = 65_535
_BOOT_PACE_NS: Final = 10_000_000  # no process starts twice within 10 ms
_MQTT_PORT: Final = 1883

_DESCRIPTION: Final = """\
A simulated foot massager for trying, testing and developing without hardware.
It speaks the device's protocol and keeps the device's rules. It prints the URL to
use with `massager start --device`; Ctrl-C ends it."""
_EPILOG: Final = f"""\
The control socket takes one JSON object a line and answers with one:

{commands.table()}

for example:  massager-simulator --tell SOCKET '{{"fault": "drop", "rate": 0.2}}'
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"massager-simulator: {message} (massager-simulator --help tells more)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C, SIGTERM or SIGHUP: 0. A flag or a place that cannot be used: exit 2.

    With `--tell`: 0 if the request was done, 1 if it was refused.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    from simulator.bearers import CannotStart

    try:
        if arguments.tell:
            return _ask(*arguments.tell)
        asyncio.run(_run(arguments))
    except CannotStart as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        pass  # before anything had begun
    return 0


def _ask(socket_path: str, request: str) -> int:
    from simulator.control import ask

    done, answer = ask(Path(socket_path), request)
    _tell(answer)
    return 0 if done else 1


async def _run(arguments: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with contextlib.AsyncExitStack() as at_exit:
        server = await _started(arguments, at_exit)
        speed = f"--speed {arguments.speed} " if arguments.speed > 1 else ""
        what = f"speed {arguments.speed}"
        if arguments.firmware:
            what = "the firmware on an emulated ATmega328P"
        _tell(f"Simulated massager {server.device_id}, {what}; Ctrl-C ends it.")
        _tell(f"Use it with: massager start {speed}--device {shlex.quote(server.url)}")
        if arguments.control:
            _tell(f"Control socket: {arguments.control.absolute()}")
        await stopped.wait()


async def _started(
    arguments: argparse.Namespace, at_exit: contextlib.AsyncExitStack
) -> "SimulatorServer":
    from simulator.control import ControlSocket
    from simulator.server import SimulatorServer
    from simulator.trace_file import TraceFile

    _refuse_what_a_chip_cannot(arguments)
    trace = None
    if arguments.trace:
        trace = TraceFile(arguments.trace)
        at_exit.callback(trace.close)
    bearer = _bearer(arguments)
    port = _firmware_port(arguments) if arguments.firmware else _simulated_port(arguments, bearer)
    server = SimulatorServer(port, bearer, trace=trace, say=_complain)
    if arguments.control:
        control = ControlSocket(arguments.control, server.command)
        at_exit.push_async_callback(control.close)
        await control.open()
    at_exit.push_async_callback(server.stop)
    await server.start()
    return server


def _simulated_port(arguments: argparse.Namespace, bearer: "Bearer") -> "Port":
    from simulator.device import DeviceConfig
    from simulator.port import SimulatedPort

    return SimulatedPort(
        DeviceConfig(
            device_id=arguments.device_id or _DEVICE_ID_DEFAULT,
            feet_sensor=arguments.feet_sensor,
            speed=arguments.speed,
        ),
        seed=arguments.seed,
        datagrams=bearer.datagrams,
        boot_id=arguments.boot_id or _boot_id_now(),
    )


def _firmware_port(arguments: argparse.Namespace) -> "Port":
    from simulator.bearers import CannotStart
    from simulator.firmware.board import eeprom_for
    from simulator.firmware.chip import EEPROM_BYTES
    from simulator.firmware.port import FirmwarePort

    path: Path | None = arguments.eeprom
    if path is None:
        eeprom = eeprom_for(arguments.boot_id or _boot_id_now())
        return FirmwarePort(seed=arguments.seed, eeprom=eeprom)
    try:
        eeprom = path.read_bytes() if path.exists() else b"\xff" * EEPROM_BYTES
        if len(eeprom) != EEPROM_BYTES:
            raise CannotStart(f"{path} is no EEPROM of {EEPROM_BYTES} bytes; name another file")
        path.write_bytes(eeprom)
    except OSError as error:
        raise CannotStart(
            f"the EEPROM {path} cannot be kept: {error.strerror}; name another file"
        ) from error
    return FirmwarePort(
        seed=arguments.seed, eeprom=eeprom, remember=lambda data: _remember(path, data)
    )


def _remember(path: Path, eeprom: bytes) -> None:
    try:
        path.write_bytes(eeprom)
    except OSError as error:
        _complain(f"the EEPROM {path} is not kept: {error.strerror}")


def _refuse_what_a_chip_cannot(arguments: argparse.Namespace) -> None:
    from simulator.bearers import CannotStart

    if not arguments.firmware:
        if arguments.eeprom:
            raise CannotStart("only a chip has an EEPROM; add --firmware atmega328p")
        return
    refusals = {
        "--mqtt: this chip has a serial line only; use --pty or --tcp": arguments.mqtt,
        "--speed: a chip runs in real time; leave it out": arguments.speed > 1,
        "--device-id: a chip's is in its program; build it with DEVICE_ID=...": (
            arguments.device_id
        ),
        "--no-feet-sensor: what a chip has is in its program; leave it out": (
            not arguments.feet_sensor
        ),
        "--boot-id: the EEPROM counts the boots; leave one of them out": (
            arguments.eeprom and arguments.boot_id
        ),
    }
    for refusal, is_asked in refusals.items():
        if is_asked:
            raise CannotStart(refusal)


def _bearer(arguments: argparse.Namespace) -> "Bearer":
    if arguments.pty:
        from simulator.bearers.pseudoterminal import PseudoterminalBearer

        return PseudoterminalBearer(arguments.pty)
    if arguments.tcp:
        from simulator.bearers.tcp import TcpBearer

        host, number = arguments.tcp
        return TcpBearer(host, number, _complain)
    from simulator.bearers.mqtt import MqttBearer

    broker: SplitResult = arguments.mqtt
    return MqttBearer(
        broker.hostname or "",
        broker.port or _MQTT_PORT,
        arguments.device_id or _DEVICE_ID_DEFAULT,
        user=unquote(broker.username) if broker.username else None,
        password=os.environ.get(PASSWORD_VARIABLE),
        say=_complain,
    )


def _boot_id_now() -> int:
    """Another one at every start: a restarted simulator has lost its session, as a reboot has."""
    return time.time_ns() // _BOOT_PACE_NS % _BOOT_MAX + 1


# --- flags ------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="massager-simulator",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument(
        "--pty", metavar="PATH", type=Path, help="be a serial port; PATH becomes a link to it"
    )
    way.add_argument(
        "--tcp", metavar="HOST:PORT", type=_address, help="listen; port 0 takes a free one"
    )
    way.add_argument(
        "--mqtt",
        metavar="URL",
        type=_broker,
        help=f"speak MQTT: mqtt://[user@]host[:{_MQTT_PORT}]; the password comes from "
        f"{PASSWORD_VARIABLE}",
    )
    way.add_argument(
        "--tell",
        nargs=2,
        metavar=("SOCKET", "REQUEST"),
        help="send a request, as below, to the control socket of a running simulator",
    )
    parser.add_argument(
        "--device-id",
        metavar="ID",
        type=_device_id,
        help=f"1 to 8 of A-Z a-z 0-9 _ - (default {_DEVICE_ID_DEFAULT})",
    )
    parser.add_argument(
        "--speed",
        metavar=f"1-{SPEED_MAX}",
        type=lambda text: _whole(text, 1, SPEED_MAX),
        default=1,
        help="device time runs this many times faster (default 1)",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=lambda text: _whole(text, 0, _SEED_MAX),
        default=0,
        help="of the line faults' chance (default 0)",
    )
    parser.add_argument(
        "--boot-id",
        metavar="N",
        type=lambda text: _whole(text, 1, _BOOT_MAX),
        help="of the first boot, for runs that are to be the same (default: new at every start)",
    )
    parser.add_argument(
        "--trace", metavar="FILE", type=Path, help="append the motor trace, one JSON object a line"
    )
    parser.add_argument(
        "--control", metavar="SOCKET", type=Path, help="take the requests below on this Unix socket"
    )
    parser.add_argument(
        "--firmware",
        choices=("atmega328p",),
        help="run the firmware itself on an emulated chip, from a checkout; see docs/SIMULATOR.md",
    )
    parser.add_argument(
        "--eeprom",
        metavar="FILE",
        type=Path,
        help="keep the chip's EEPROM there, so that it counts its boots on (default: forgotten)",
    )
    parser.add_argument(
        "--no-feet-sensor",
        dest="feet_sensor",
        action="store_false",
        help="a device without a feet sensor",
    )
    return parser


def _whole(text: str, low: int, high: int) -> int:
    if re.fullmatch(r"[0-9]{1,10}", text, re.ASCII) and low <= int(text) <= high:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r}: it must be a whole number from {low} to {high}")


def _device_id(text: str) -> str:
    if _DEVICE_ID.fullmatch(text):
        return text
    raise argparse.ArgumentTypeError(f"{text!r}: it must be 1 to 8 of A-Z, a-z, 0-9, _ and -")


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) or int(port) > 65_535:
        raise argparse.ArgumentTypeError(
            f"{text!r}: it must be HOST:PORT with a port from 0 to 65535, e.g. 127.0.0.1:5555"
        )
    return host, int(port)


def _broker(text: str) -> SplitResult:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        port = -1
    if url.password is not None:
        raise argparse.ArgumentTypeError(
            "a password in the URL can be read by every user of this machine; leave it out and "
            f"put it into the environment, {PASSWORD_VARIABLE}=..."
        )
    if url.scheme != "mqtt" or not url.hostname or port == -1 or port == 0:
        raise argparse.ArgumentTypeError(
            f"{text!r}: it must be mqtt://[user@]host[:port], e.g. mqtt://127.0.0.1:{_MQTT_PORT}"
        )
    if url.path not in ("", "/") or url.query or url.fragment:
        raise argparse.ArgumentTypeError(
            f"{text!r}: nothing comes after the port; the device id is given by --device-id"
        )
    return url


def _tell(text: str) -> None:
    # Whoever started it may not listen any more; the device goes on.
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(text + "\n")


def _complain(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write(f"massager-simulator: {text}\n")
