"""`massager trace URL`: the frames of a device as text. Moves, stops and clears nothing.

On a serial or TCP line it asks for the status once a second and shows both directions; behind a
broker it only listens, so that a running session can be watched.
"""

import sys
from argparse import ArgumentParser, Namespace
from math import isfinite
from typing import TYPE_CHECKING, Final

from massager.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from massager.trace import Heard
    from massager.transports import DeviceUrl, Settings

SECONDS_MIN: Final = 0.1
SECONDS_MAX: Final = 86_400


def add_arguments(parser: ArgumentParser) -> None:
    """`URL [--json] [--seconds N]`."""
    parser.add_argument(
        "device",
        metavar="URL",
        nargs="?",
        help="serial:…, tcp://… or mqtt://… (default: the configured device)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a frame")
    parser.add_argument(
        "--seconds",
        metavar="N",
        type=_seconds,
        help=f"end after N seconds, {SECONDS_MIN:g} to {SECONDS_MAX} (default: at Ctrl-C)",
    )


def run(args: Namespace) -> int:
    """Print frames until the time is over (0) or Ctrl-C (130). Raises what opening raises."""
    import asyncio

    from massager.cli.target import target_of
    from massager.transports.url import MqttUrl

    url, settings = target_of(args)
    if not args.json:
        listens = isinstance(url, MqttUrl)
        doing = f"listening to {url} without sending" if listens else f"asking {url} once a second"
        sys.stderr.write(f"massager: {doing}; Ctrl-C ends it\n")
    try:
        asyncio.run(_print(url, settings, args.seconds, as_json=args.json))
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return ExitCode.OK


async def _print(
    url: "DeviceUrl", settings: "Settings", seconds: float | None, *, as_json: bool
) -> None:
    import asyncio
    from contextlib import aclosing, suppress

    from massager.trace import trace

    line_of = _json_line if as_json else _text_line
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), aclosing(trace(url, settings)) as frames:
            async for heard in frames:
                sys.stdout.write(line_of(heard) + "\n")
                sys.stdout.flush()


def _text_line(heard: "Heard") -> str:
    from datetime import UTC, datetime

    from massager.cli.drawing import draws_blocks, in_ascii
    from massager.frame_text import line_of

    now = datetime.now(UTC).astimezone()
    line = f"{now:%H:%M:%S}.{now.microsecond // 1000:03d} {line_of(heard.reading, heard.direction)}"
    line += "  (retained: both sides ignore it)" if heard.retained else ""
    return (
        line if draws_blocks(sys.stdout) else in_ascii(line.replace("°", "deg ").replace("←", "<-"))
    )


def _json_line(heard: "Heard") -> str:
    import json
    from datetime import UTC, datetime

    from massager.frame_text import record_of

    now = datetime.now(UTC).astimezone().isoformat(timespec="microseconds")
    record = {"time": now, **record_of(heard.reading, heard.direction)}
    return json.dumps(record | ({"retained": True} if heard.retained else {}))


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = float("nan")
    if not isfinite(seconds) or not SECONDS_MIN <= seconds <= SECONDS_MAX:
        raise UsageError(
            f"--seconds is a number from {SECONDS_MIN:g} to {SECONDS_MAX}, not {text[:40]!r}"
        )
    return seconds
