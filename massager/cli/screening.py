"""`massager screening`: the questions before the first massage, once and again after 180 days.

`ask_before_start` asks them where a person starts a real device in a terminal.
"""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from massager.errors import ConfigError, ExitCode, HistoryUnusable, Refused, UsageError

if TYPE_CHECKING:
    from massager.config.config import Config
    from massager.screening.profile import Profile, Used

_NO_TERMINAL: Final = (
    "the questions are asked in a terminal, one after the other, so that a person reads them; "
    "run there: "
)
_LEFT: Final = "You left before the end: nothing was stored."


def add_arguments(parser: ArgumentParser) -> None:
    """`[--show | --redo | --sore | --well] [--json]`."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--show", action="store_true", help="show the answers; ask nothing")
    what.add_argument("--redo", action="store_true", help="answer again")
    what.add_argument(
        "--sore", action="store_true", help="the feet are bruised or sore: 2 steps less from now on"
    )
    what.add_argument("--well", action="store_true", help="the feet are well again")
    parser.add_argument("--json", action="store_true", help="show as JSON; ask nothing")
    parser.add_argument(
        "--person", metavar="NAME", help="whose answers, where the config names several persons"
    )


def run(args: Namespace) -> int:
    """0 where a real device may be started by these answers, 3 where not.

    ConfigError for a profile that cannot be read or written; Refused where there is no terminal to
    ask in, and for --sore and --well where nobody has answered yet.
    """
    from massager.screening.profile import what_is_missing
    from massager.screening.profile_file import profile_path, read_profile
    from massager.screening.questions import questions

    config, person = _whose(args.person)
    path = profile_path(config, person)
    if args.redo:
        return _asked(path, person, _readable(path, person))
    profile = read_profile(path, person)
    if args.sore or args.well:
        return _feet(path, person, profile, is_sore=args.sore)
    missing = what_is_missing(profile, questions(), _today())
    if missing is None or args.show or args.json:
        return _shown(path, person, profile, as_json=args.json)
    if profile is not None:
        _say(f"{missing[0].upper()}{missing[1:]}.")
    return _asked(path, person, profile)


def _whose(given: str | None) -> tuple[Path, str]:
    """The config file and the person who is meant. A mistake in a file that names nobody keeps
    nobody from saying that the feet are sore. Raises ConfigError, UsageError."""
    from massager.config.config import config_path, load
    from massager.config.file import read_config_lines

    try:
        config = load({}, os.environ)
    except ConfigError:
        file = read_config_lines(config_path(os.environ))
        if given is not None or "person" in file.text:
            raise
        return file.path, ""
    return config.path, _person(given, config)


def _person(given: str | None, config: "Config") -> str:
    """Whose answers are meant. Raises UsageError with the names there are."""
    from massager.config.file import printable

    persons = config.persons
    if given is None and len(persons) < 2:
        return persons[0] if persons else ""
    if given in persons:
        assert given is not None
        return given
    if not persons:
        raise UsageError(
            f"--person: the config {printable(str(config.path))} names no persons; leave it out, "
            "or say in MASSAGER_CONFIG which config is meant"
        )
    whose = "whose?" if given is None else f"the config names no person {given[:40]!r};"
    raise UsageError(f"{whose} say --person {' or '.join(persons)}")


def ask_before_start(config_path: Path, person: str, is_real: Callable[[], bool]) -> None:
    """Ask what is due, if anything is, before a person starts a real device in a terminal.

    `is_real` looks at the device; it is asked only where there is something to ask. Raises Refused
    where the person leaves, or where the answers speak against it.
    """
    from massager.screening.interview import yes_or_no
    from massager.screening.profile import (
        next_day_answered,
        next_day_question,
        screening_command,
        what_is_missing,
    )
    from massager.screening.profile_file import profile_path, write_profile
    from massager.screening.questions import questions

    path = profile_path(config_path, person)
    profile = _readable(path, person)
    if what_is_missing(profile, questions(), _today()) is not None:
        if is_real() and _asked(path, person, profile) != ExitCode.OK:
            how = screening_command(person)
            raise Refused(f"nothing was started, because of the screening ({how})")
        return
    assert profile is not None
    used = _newest_use(config_path, person)
    question = next_day_question(profile, used, _today())
    if question is None or not is_real():
        return
    answer = yes_or_no(question, _ask, _say)
    if answer is None:
        raise Refused("the question was left open, and nothing was started")
    profile = next_day_answered(profile, used, _today(), answer)
    write_profile(path, profile)
    if profile.sore is not None:
        _say(f"Then {profile.cap} is the highest intensity until they are well again.")


def is_interactive() -> bool:
    """Whether a person sits at a terminal here."""
    try:
        return sys.stdin.isatty() and sys.stdout.isatty()
    except (ValueError, AttributeError):
        return False


def _asked(path: Path, person: str, before: "Profile | None") -> int:
    """Ask all the questions, keep the answers and tell what follows from them."""
    from massager.screening.interview import interview
    from massager.screening.profile import screening_command, what_blocks
    from massager.screening.profile_file import write_profile
    from massager.screening.questions import questions

    if not is_interactive():
        raise Refused(_NO_TERMINAL + screening_command(person))
    if person:
        _say(f"These are the questions for {person}.")
    profile = interview(questions(), before, _today(), _ask, _say)
    if profile is None:
        _say(_LEFT)
        return ExitCode.REFUSED
    write_profile(path, profile)
    _say(f"Stored in {path}, for you alone.")
    why = what_blocks(replace(profile, person=person), questions())
    if why is None:
        _say(f"Nothing speaks against a session. The answers count until {profile.valid_until}.")
        return ExitCode.OK
    _say(f"No session will start on a real device: {why}.")
    return ExitCode.REFUSED


def _feet(path: Path, person: str, profile: "Profile | None", *, is_sore: bool) -> int:
    from massager.screening.profile import screening_command
    from massager.screening.profile_file import write_profile

    if profile is None:
        raise Refused(f"nobody has answered the questions yet: {screening_command(person)}")
    profile = replace(profile, sore=_today() if is_sore else None)
    write_profile(path, profile)
    _say(f"Noted. The highest intensity is {profile.cap} now.")
    return ExitCode.OK


def _shown(path: Path, person: str, profile: "Profile | None", *, as_json: bool) -> int:
    from massager.screening.profile import screening_command, why_not
    from massager.screening.questions import questions

    why = why_not(profile, questions(), _today())
    if as_json:
        import json

        _say(json.dumps({"person": person or None} | _as_json(path, profile, why)))
    elif profile is None:
        _say(f"Nobody has answered the questions yet. Answer them: {screening_command(person)}")
    else:
        _say(f"Answered on {profile.answered}; the answers count until {profile.valid_until}.")
        _say(f"The highest intensity is {profile.cap}: {profile.cap_reason}.")
        for question in questions():
            answer = profile.answers.get(question.id)
            if answer is None or answer.applies:
                _say(f"  {question.what}: {_word(answer)}")
        if why is None:
            _say(
                "Nothing speaks against a session. To answer again: "
                f"{screening_command(person)} --redo"
            )
        else:
            _say(f"No session will start on a real device: {why}.")
    return ExitCode.OK if why is None else ExitCode.REFUSED


def _as_json(path: Path, profile: "Profile | None", why: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {"path": str(path), "permitted": why is None, "reason": why}
    if profile is not None:
        found |= {
            "answered": str(profile.answered),
            "valid_until": str(profile.valid_until),
            "max_intensity": profile.max_intensity,
            "cap": profile.cap,
            "sore": None if profile.sore is None else str(profile.sore),
            "answers": {name: _word(answer) for name, answer in profile.answers.items()},
        }
    return found


def _word(answer: Any) -> str:
    if answer is None:
        return "not answered"
    if answer.applies:
        return "yes" if answer.cleared is None else f"cleared {answer.cleared}"
    return "no"


def _readable(path: Path, person: str) -> "Profile | None":
    """The profile, or None where the questions have to be asked anew for want of one."""
    from massager.screening.profile_file import read_profile

    try:
        return read_profile(path, person)
    except ConfigError:
        return None


def _newest_use(config_path: Path, person: str) -> "Used | None":
    """What the next-day question is about."""
    from massager.history.file import place_of
    from massager.history.stamps import local_time
    from massager.history.store import Store
    from massager.screening.profile import Used

    try:
        with Store.read(place_of(os.environ, config_path)) as store:
            row = store.newest_use(person)
    except HistoryUnusable:
        return None
    if row is None or row.ended is None:
        return None
    return Used(row.id, local_time(row.ended).date())


def _today() -> date:
    return date.today()  # noqa: DTZ011 (the person's own day)


def _ask(prompt: str) -> str | None:
    sys.stdout.write(prompt)
    sys.stdout.flush()
    typed = sys.stdin.readline()
    if not typed:
        sys.stdout.write("\n")
        return None
    return typed


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
