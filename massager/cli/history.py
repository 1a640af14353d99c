"""`massager history`: what was, as a table, as a drawn session, for other programs, and erased."""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from massager.errors import ConfigError, ExitCode, Refused, UsageError
from massager.limits import HISTORY_DAYS_MAX

if TYPE_CHECKING:
    from massager.history.file import Place
    from massager.history.records import Event, SessionRow, Stamp

ACTIONS: Final = ("list", "show", "export", "erase")
_NEEDS: Final = {"show": "the number of a session", "export": "a file that is not there yet"}
_ID_MAX_DIGITS: Final = 18


def add_arguments(parser: ArgumentParser) -> None:
    """`[list|show ID|export FILE|erase]` and what each of them takes."""
    parser.add_argument(
        "action",
        nargs="?",
        metavar="|".join(ACTIONS),
        type=_action,
        default="list",
        help="list the sessions (default), show one with its trace, export all of them to a .json "
        "file with everything or a .csv file with a line each, or erase them",
    )
    parser.add_argument("what", nargs="?", metavar="ID|FILE", help="for show and export")
    parser.add_argument("--days", metavar="N", type=_days, help="list: the last N days only")
    parser.add_argument("--person", metavar="NAME", help="list: the sessions of this person only")
    parser.add_argument("--json", action="store_true", help="list, show: print JSON")
    parser.add_argument("--csv", action="store_true", help="list: print CSV")
    parser.add_argument("--svg", metavar="FILE", help="show: draw it into a file, too")
    parser.add_argument("--yes", action="store_true", help="erase: do not ask")


def run(args: Namespace, environ: Mapping[str, str] = os.environ) -> int:
    """0, or UsageError, Refused, HistoryUnusable. Only `erase` changes anything."""
    from massager.config.config import config_path
    from massager.history.file import place_of

    _check(args)
    place = place_of(environ, config_path(environ))
    match args.action:
        case "show":
            _show(place, args)
        case "export":
            _export(place, Path(args.what))
        case "erase":
            _erase(place, asked=args.yes)
        case _:
            _list(place, args)
    return ExitCode.OK


def _check(args: Namespace) -> None:
    """Raises UsageError for what does not belong together."""
    action = args.action
    if action in _NEEDS and args.what is None:
        raise UsageError(f"massager history {action} needs {_NEEDS[action]}")
    if action not in _NEEDS and args.what is not None:
        raise UsageError(f"massager history {action} takes nothing more, not {args.what[:40]!r}")
    belongs = {"days": ("list",), "person": ("list",), "csv": ("list",), "json": ("list", "show")}
    for flag, actions in {**belongs, "svg": ("show",), "yes": ("erase",)}.items():
        if getattr(args, flag) not in (None, False) and action not in actions:
            raise UsageError(f"--{flag} belongs to: massager history {' or '.join(actions)}")
    if args.json and args.csv:
        raise UsageError("--json or --csv, not both")
    if action == "show":
        _number(args.what)
    if action == "export" and Path(args.what).suffix not in (".json", ".csv"):
        raise UsageError(f"export to a file that ends in .json or .csv, not {args.what[-40:]!r}")


# --- list ---------------------------------------------------------------------------------------


def _list(place: "Place", args: Namespace) -> None:
    from massager.cli.history_export import as_csv, session_dict
    from massager.history import stamps
    from massager.history.store import is_alive

    now = stamps.now()
    rows = list(reversed(_rows(place, now, args)))
    if args.json or args.csv:
        found = [session_dict(row, alive=is_alive(row, now)) for row in rows]
        if args.csv:
            sys.stdout.write(as_csv(found))
        else:
            _say_json(found)
        return
    if not rows:
        whose = "" if args.person is None else f" of {args.person[:40]}"
        when = "" if args.days is None else f" in the last {args.days} days"
        _say(f"No sessions{whose}{when} ({place.path}).")
        return
    titles, cells = list(_TITLES), [list(_cells(row, now)) for row in rows]
    if any(row.person for row in rows):
        titles.insert(2, "person")
        for line, row in zip(cells, rows, strict=True):
            line.insert(2, row.person)
    for text in _table(titles, cells):
        _say(text)


def _rows(place: "Place", now: "Stamp", args: Namespace) -> "list[SessionRow]":
    from massager.history.store import Store
    from massager.limits import DAY_MS

    if not place.path.exists():
        return []
    with Store.read(place) as store:
        since = None if args.days is None else now.utc_ms - args.days * DAY_MS
        return store.sessions(since, person=args.person)


_TITLES: Final = ("id", "began", "device", "program", "intensity", "motor on", "ended")


def _cells(row: "SessionRow", now: "Stamp") -> tuple[str, ...]:
    from massager.cli.drawing import clock
    from massager.history.stamps import local_time

    began = f"{local_time(row.started):%Y-%m-%d %H:%M}"
    device = row.device or row.url
    if row.simulated:
        device += " (simulated)"
    motor_on = clock(row.motor_on_ms / 1000)
    known = (str(row.id), began, device, row.program, str(row.intensity), motor_on)
    return (*known, _ending(row, now))


def _ending(row: "SessionRow", now: "Stamp") -> str:
    from massager.history.store import is_alive

    if row.ended is None:
        return "runs now" if is_alive(row, now) else "unknown: its program ended without a word"
    because = f" (because: {row.because})" if row.because else ""
    return f"{row.stop_reason}{because}"


def _table(titles: list[str], rows: list[list[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):
        cells = [
            cell.rjust(width) if title in ("id", "intensity", "motor on") else cell.ljust(width)
            for title, cell, width in zip(titles, row, widths, strict=True)
        ]
        yield "  ".join(cells).rstrip()


# --- show ---------------------------------------------------------------------------------------


def _show(place: "Place", args: Namespace) -> None:
    from massager.cli.drawing import draws_blocks, in_ascii
    from massager.cli.history_export import curve_of, whole_session
    from massager.cli.history_svg import draw_svg
    from massager.history import stamps
    from massager.history.store import Store, is_alive

    now = stamps.now()
    with Store.read(place) as store:
        row = store.session(_number(args.what))
        if row is None:
            raise Refused(f"there is no session {args.what} in the history; see: massager history")
        samples, events = store.samples(row.id), store.events(row.id)
        if args.json:
            _say_json(whole_session(store, row, alive=is_alive(row, now)))
    output = curve_of(samples, "output_permille")
    if not args.json:
        is_utf8 = draws_blocks(sys.stdout)
        for line in (*_heading(row, now), *_drawn(output, is_utf8), *_happened(events)):
            _say(line if is_utf8 else in_ascii(line))
    if args.svg is not None:
        title, subtitle, *_ = _heading(row, now)
        setpoint = curve_of(samples, "setpoint_permille")
        _write_new(Path(args.svg), [draw_svg(title, subtitle, output, setpoint, events)])


def _heading(row: "SessionRow", now: "Stamp") -> list[str]:
    from massager.cli.drawing import clock
    from massager.history.stamps import iso_of

    device = row.device or row.url
    simulated = " (simulated)" if row.simulated else ""
    whose = f" of {row.person}" if row.person else ""
    lines = [
        f"Session {row.id}{whose} on {device}{simulated}, {iso_of(row.started).replace('T', ' ')}",
        f"{row.program}, intensity {row.intensity}, {row.minutes:g} min after {row.warmup_s:g} s "
        f"of warm-up; started from the {row.origin}",
        f"Ended: {_ending(row, now)}" + (f": {row.detail}" if row.detail else ""),
        f"The motor was on for {clock(row.motor_on_ms / 1000)}, at {row.highest_permille} ‰ at "
        "most",
    ]
    if row.ended is not None and not row.output_confirmed and row.device is not None:
        lines.append("The device did not confirm that the motor was off")
    return lines


def _drawn(output: list[tuple[float, float]], blocks: bool) -> Iterator[str]:
    from massager.cli.drawing import draw_curve, terminal_width

    if len(output) > 1:
        yield ""
        yield from draw_curve(output, width=terminal_width(), blocks=blocks)


def _happened(events: "list[Event]") -> Iterator[str]:
    from massager.cli.drawing import clock
    from massager.history.stamps import local_time

    if events:
        yield ""
    for event in events:
        at = f"{local_time(event.at):%H:%M:%S}"
        yield f"{clock(event.elapsed_ms / 1000):>6}  {at}  {event.kind:<7}  {event.text}".rstrip()


# --- export and erase ---------------------------------------------------------------------------


def _export(place: "Place", path: Path) -> None:
    from massager.cli.history_export import as_csv, as_json_lines, session_dict, whole_session
    from massager.history import stamps
    from massager.history.store import Store, is_alive

    now = stamps.now()

    def dicts(store: Store) -> Iterator[dict[str, Any]]:
        for row in reversed(store.sessions()):
            alive = is_alive(row, now)
            if path.suffix == ".csv":
                yield session_dict(row, alive=alive)
            else:
                yield whole_session(store, row, alive=alive)

    with Store.read(place) as store:
        number = len(store.sessions())
        if path.suffix == ".csv":
            _write_new(path, [as_csv(dicts(store))])
        else:
            _write_new(path, as_json_lines(dicts(store)))
    _say(f"{_sessions(number)} in {path}, which only you may read.")


def _erase(place: "Place", *, asked: bool) -> None:
    from massager.history import stamps
    from massager.history.store import Store

    if not place.path.exists():
        _say(f"There is no history ({place.path}).")
        return
    if not asked:
        _ask(place)
    now = stamps.now()
    with Store.open(place, now) as store:
        number = store.erase(now)
        for notice in store.notices:
            sys.stderr.write(f"massager: {notice}\n")
    _say(
        f"Erased: {_sessions(number)}. How much massage the last 24 hours had stays, as bare "
        "numbers, and so does a session that runs now."
    )


def _ask(place: "Place") -> None:
    """Raises Refused where the answer is not yes, UsageError where nobody can answer."""
    if not sys.stdin.isatty():
        raise UsageError("massager history erase asks first; say --yes where nobody can answer")
    sys.stdout.write(f"Erase every session in {place.path}? Type yes: ")
    sys.stdout.flush()
    if sys.stdin.readline().strip().lower() != "yes":
        raise Refused("nothing was erased")


def _write_new(path: Path, parts: Any) -> None:
    """A file that was not there, for its owner alone. Raises ConfigError."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(f"{path} is there already; name another file") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be written: {error}") from None
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.writelines(parts)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _ID_MAX_DIGITS):
        raise UsageError(f"the number of a session is a whole number, not {text[:40]!r}")
    return int(text)


def _sessions(number: int) -> str:
    return "1 session" if number == 1 else f"{number} sessions"


def _say(text: str) -> None:
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    sys.stdout.write(shown + "\n")


def _say_json(found: object) -> None:
    import json

    sys.stdout.write(json.dumps(found) + "\n")


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= HISTORY_DAYS_MAX):
        raise UsageError(
            f"--days is a whole number from 1 to {HISTORY_DAYS_MAX}, not {text[:40]!r}"
        )
    return int(text)


def _action(text: str) -> str:
    if text not in ACTIONS:
        raise UsageError(f"write: massager history {'|'.join(ACTIONS)}, not {text[:40]!r}")
    return text
