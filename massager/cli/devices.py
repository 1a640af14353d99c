"""`massager devices`: which serial ports are there, and who answers on them.

Only lists, unless it is asked to open a port: opening resets some boards.
"""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from massager.errors import ExitCode, MassagerError

if TYPE_CHECKING:
    from massager.probe import Answer
    from massager.serial_list import ListedPort
    from massager.transports import Settings

QUESTION: Final = "Opening a port resets some boards; ask each device who it is? [y/N] "
NO_PORTS: Final = """\
There is no serial port. Check that
  - the cable is plugged in and carries data (some only charge)
  - the device or its USB adapter has power
  - this user may see it: ls -l /dev/ttyUSB* /dev/ttyACM*; the group is often dialout
A device behind a broker or a network port: massager devices mqtt://HOST/ID or tcp://HOST:PORT
No device at hand? Try a simulated one: massager start --device sim:"""


@dataclass(frozen=True, slots=True)
class _Found:
    """One place to look at: its URL, the port behind it, and what came of asking."""

    url: str
    port: "ListedPort | None" = None
    answer: "Answer | None" = None
    error: MassagerError | None = None
    held_by: str | None = None


def add_arguments(parser: ArgumentParser) -> None:
    """`[URL …] [--identify] [--yes] [--json]`."""
    parser.add_argument(
        "urls",
        metavar="URL",
        nargs="*",
        help="ask only this device, of any kind; it is opened without a question",
    )
    parser.add_argument(
        "--identify", action="store_true", help="ask each device who it is (confirms first)"
    )
    parser.add_argument("--yes", action="store_true", help="ask each device, without confirming")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(
    args: Namespace,
    list_ports: "Callable[[], list[ListedPort]] | None" = None,
    is_allowed: Callable[[], bool] | None = None,
) -> int:
    """List the ports, or say who answers.

    0 where something was listed or answered; 4 where devices were asked and none answered.
    UsageError for a malformed URL. `list_ports` tells which ports are there, `is_allowed` whether
    a person lets them be opened.
    """
    found = _given(args.urls) if args.urls else _ports(list_ports)
    opens = bool(args.urls) or (bool(found) and args.yes)
    if not opens:
        _print(found, args, asked=False)
        opens = bool(found) and args.identify and (is_allowed or _is_allowed)()
    if not opens:
        return ExitCode.OK
    found = _identify(found)
    _print(found, args, asked=True)
    silent = all(each.answer is None and each.held_by is None for each in found)
    return ExitCode.NO_DEVICE if silent else ExitCode.OK


def _given(urls: list[str]) -> list[_Found]:
    from massager.transports import parse_url

    return [_Found(str(parse_url(url))) for url in urls]


def _ports(list_ports: "Callable[[], list[ListedPort]] | None") -> list[_Found]:
    from massager.serial_list import list_serial_ports

    return [_Found(port.url, port) for port in (list_ports or list_serial_ports)()]


def _is_allowed() -> bool:
    """Whether a person says that the ports may be opened."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        sys.stderr.write("Nobody can be asked here; to open the ports add --yes\n")
        return False
    sys.stderr.write(QUESTION)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _identify(found: list[_Found]) -> list[_Found]:
    import asyncio

    from massager.cli.target import target_of

    async def ask_all() -> list[_Found]:
        _, settings = target_of(Namespace(device=found[0].url))
        return list(await asyncio.gather(*(_ask(each, settings) for each in found)))

    return asyncio.run(ask_all())


async def _ask(found: _Found, settings: "Settings") -> _Found:
    from dataclasses import replace

    from massager.cli.target import named, owner_of
    from massager.probe import probe
    from massager.transports import open_transport, parse_url

    url = parse_url(found.url)
    owner = owner_of(url)
    if owner is not None:
        return replace(found, held_by=named(owner))
    try:
        return replace(found, answer=await probe(open_transport(url, settings)))
    except MassagerError as error:
        return replace(found, error=error)


def _print(found: list[_Found], args: Namespace, *, asked: bool) -> None:
    import json

    from massager.cli.drawing import draws_blocks, in_ascii

    if args.json:
        text = json.dumps([_record(each, asked=asked) for each in found])
    elif not found:
        text = NO_PORTS
    else:
        text = "\n".join(line for each in found for line in _lines(each))
        if not (asked or args.identify):
            text += "\nAsk each device who it is: massager devices --identify"
    if not draws_blocks(sys.stdout):
        text = in_ascii(text.replace("°", "deg "))
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _lines(found: _Found) -> list[str]:
    if found.port is None:
        lines = [found.url]
    else:
        lines = [f"{found.port.device}  {found.port.title}", f"  --device {found.url}"]
    if found.held_by is not None:
        lines.append(f"  in use by {found.held_by}; it was not asked")
    if found.error is not None:
        lines.append(f"  {_without(found.url, str(found.error))}")
    if found.answer is not None:
        lines += (f"  {line}" for line in answer_lines(found.answer))
    return lines


def _without(url: str, text: str) -> str:
    """An error's text without the URL that stands above it anyway."""
    return text.removeprefix(url).removeprefix(":").strip() if text.startswith(url) else text


def answer_lines(answer: "Answer") -> list[str]:
    """Who answers, in a few lines for a person."""
    who, limits, status = answer.identity, answer.limits, answer.status
    from firmware_protocol.messages import Feet, State, word_of

    kind = "simulated" if who.is_simulated else f"model {who.model}"
    pace = f", runs {who.speed} times as fast" if who.speed > 1 else ""
    has = [word for word in answer.capabilities if word != "simulated"]
    now = [word_of(State, status.state), f"output {status.output_permille} ‰"]
    if status.feet:
        now.append(f"feet {word_of(Feet, status.feet)}")
    if status.temperature_c is not None:
        now.append(f"motor {status.temperature_c:g} °C")
    latched = " and ".join(answer.latched)
    return [
        f"{who.name}: {kind}, boot {who.boot_id}, protocol {who.major}.{who.minor}{pace}",
        f"has: {', '.join(has) or 'nothing beside its motor'}",
        f"levels {limits.gentlest_permille} to {limits.max_permille} ‰, a run lasts at most "
        f"{limits.run_max_s / 60:g} min, then {limits.rest_s} s of rest",
        f"now: {', '.join(now)}",
        *([f"latched: {latched}; take it back with: massager clear"] if latched else []),
    ]


def _record(found: _Found, *, asked: bool) -> dict[str, Any]:
    record: dict[str, Any] = {"url": found.url}
    port = found.port
    if port is not None:
        record |= {
            "device": port.device,
            "by_id": port.by_id,
            "serial_number": port.serial_number,
            "manufacturer": port.manufacturer,
            "product": port.product,
        }
    if asked:
        error = found.error
        record |= {
            "answer": None if found.answer is None else found.answer.as_record(),
            "error": None
            if error is None
            else {"kind": type(error).__name__, "message": str(error)},
            "in_use_by": found.held_by,
        }
    return record
