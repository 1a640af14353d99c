"""A real device, rehearsed with a simulated one that counts: asked first, and never too much.

Each command is a process of its own, so whatever holds here holds over restarts.
"""

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from massager.history import stamps
from massager.history.file import place_of
from massager.history.records import End, Identified, NewSession, SessionRow, Stamp
from massager.history.store import Store
from massager.screening.profile import Answer
from massager.screening.profile_file import read_profile
from massager.screening.questions import questions
from tests.e2e.command import Running, environment_in, massager
from tests.e2e.simulator_process import SimulatorProcess, wait_until
from tests.e2e.test_cli_terminal import Terminal
from tests.screened import healthy, screened

START = ("start", "--device", "sim:", "--speed", "20", "--as-real")
SHORTEST = ("--minutes", "5", "--warmup", "60")
MINUTE = 60_000


@pytest.fixture
def person(tmp_path: Path) -> Path:
    """The profile of somebody who may."""
    return screened(config_folder(tmp_path))


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts commands on terminals."""
    opened: list[Terminal] = []

    def start(*words: str) -> Terminal:
        opened.append(Terminal(tmp_path, *words))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def config_folder(folder: Path) -> Path:
    return folder / "config" / "massager"


def history(folder: Path) -> Store:
    environ = environment_in(folder)
    environ["MASSAGER_HISTORY"] = str(folder / "data" / "massager" / "history.db")
    return Store.open(place_of(environ, config_folder(folder) / "config.toml"), stamps.now())


def rows(folder: Path) -> list[SessionRow]:
    with history(folder) as store:
        return store.sessions()


def ago(ms: int) -> Stamp:
    now = stamps.now()
    return replace(now, utc_ms=now.utc_ms - ms, boot_ms=now.boot_ms - ms)


def use(
    folder: Path,
    minutes: int,
    ended_ms_ago: int = 0,
    *,
    person: str = "",
    reason: str = "completed",
) -> None:
    """A session that has been."""
    new = NewSession("serial:/dev/ttyUSB0", "classic", 3, 8, 90, "terminal", person=person)
    with history(folder) as store:
        number = store.begin(new, ago(ended_ms_ago + minutes * MINUTE)).id
        with store.transaction():
            store.identified(number, Identified("foot-1", False, True))
            end = End(ago(ended_ms_ago), reason, "", minutes * MINUTE, 500, True)
            store.end(number, end)
        store.note_counting(ago(ended_ms_ago))


def turns(session: Running) -> None:
    """Wait until the motor does."""

    def does() -> bool:
        rows = [json.loads(line) for line in session.lines() if line.endswith("}")]
        return any(row.get("output_permille") for row in rows)

    wait_until(lambda: does() or session.process.poll() is not None, "the motor turns")


def massages(session: Running) -> None:
    """Wait until the warm-up is over: over a minute of the session's clock."""

    def does() -> bool:
        return any('"phase": "massage"' in line for line in session.lines())

    wait_until(lambda: does() or session.process.poll() is not None, "the massage")


# --- without a screening -------------------------------------------------------------------------


def test_a_start_that_nobody_watches_is_refused_with_the_way_to_answer(tmp_path: Path) -> None:
    done = massager(tmp_path, *START)
    assert done.code == 3
    assert "nobody has answered yet whether a massage is right" in done.err
    assert "massager screening" in done.err
    assert "Nothing was sent that moves the motor." in done.err


def test_a_simulated_device_asks_for_nothing_and_uses_nothing_up(tmp_path: Path) -> None:
    with Running(tmp_path, "start", "--device", "sim:", "--speed", "20", "--json") as session:
        turns(session)
        assert session.end(signal.SIGINT) == 130
    with history(tmp_path) as store:
        assert store.spent() == []


def test_nothing_accepts_the_screening_for_a_person(tmp_path: Path) -> None:
    assert massager(tmp_path, *START, "--accept-screening").code == 2
    assert massager(tmp_path, "screening", "--accept").code == 2
    piped = massager(tmp_path, "screening", stdin="n\n" * 16 + "\ny\n")
    assert piped.code == 3
    assert "asked in a terminal" in piped.err
    assert not (config_folder(tmp_path) / "profile.json").exists()


def test_the_config_can_make_a_simulated_device_count(tmp_path: Path) -> None:
    config_folder(tmp_path).mkdir(parents=True)
    (config_folder(tmp_path) / "config.toml").write_text('device = "sim:"\nas_real = true\n')
    assert massager(tmp_path, "start", "--speed", "20").code == 3


# --- in a terminal -------------------------------------------------------------------------------


def test_the_first_start_in_a_terminal_asks_and_then_begins(
    terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    screen = terminal(*START)
    for number, question in enumerate(questions(), 1):
        screen.shows(f"{number:>2}/16  {question.text} [y/n/b/q]")
        screen.press("n\n")
    screen.shows("The highest intensity that may ever be used, 1 to 10? [10]")
    screen.press("6\n")
    screen.shows("Are the answers true, and shall they be stored?")
    assert not (config_folder(tmp_path) / "profile.json").exists()
    screen.press("y\n")
    screen.shows("Warm-up · intensity 3")
    screen.press("q")
    assert screen.wait() == 0
    profile = read_profile(config_folder(tmp_path) / "profile.json")
    assert profile == healthy(date.today(), max_intensity=6)  # noqa: DTZ011


def test_whose_feet_they_are_is_asked_for_by_name(
    terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    config_folder(tmp_path).mkdir(parents=True)
    (config_folder(tmp_path) / "config.toml").write_text(
        "as_real = true\n"
        '[[devices]]\nname = "bed"\ndevice = "sim:?seed=1"\nperson = "anna"\n'
        '[[devices]]\nname = "guest"\ndevice = "sim:?seed=2"\nperson = "ben"\n'
    )
    screen = terminal("start", "--name", "guest", "--speed", "20")
    screen.shows("These are the questions for ben.")
    screen.press("q\n")
    assert screen.wait() == 3
    assert "massager screening --person ben" in massager(tmp_path, "start", "--name", "guest").err


def test_whoever_quits_the_questions_starts_and_stores_nothing(
    terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    screen = terminal(*START)
    screen.shows(" 1/16")
    screen.press("n\n")
    screen.shows(" 2/16")
    screen.press("q\n")
    assert screen.wait() == 3
    assert "nothing was stored" in screen.raw
    assert not (config_folder(tmp_path) / "profile.json").exists()


def test_ctrl_c_in_the_questions_leaves_and_stores_nothing(
    terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    screen = terminal("screening")
    screen.shows(" 1/16")
    screen.press("\x03")
    assert screen.wait() == 130
    assert not (config_folder(tmp_path) / "profile.json").exists()


def test_a_simulated_device_behind_a_line_is_not_asked_about(
    terminal: Callable[..., Terminal],
    start_simulator: Callable[..., SimulatorProcess],
) -> None:
    device = start_simulator("--tcp", "127.0.0.1:0", "--speed", "10")
    screen = terminal("start", "--device", device.url, "--speed", "10")
    screen.shows("Warm-up · intensity 3")
    screen.press("q")
    assert screen.wait() == 0


def test_the_day_after_the_feet_are_asked_about_and_a_sore_day_lowers_the_cap(
    terminal: Callable[..., Terminal], person: Path, tmp_path: Path
) -> None:
    use(tmp_path, 8, ended_ms_ago=25 * 60 * MINUTE)
    screen = terminal(*START, "--intensity", "9")
    screen.shows("Were your feet bruised or sore after the session of")
    screen.press("y\n")
    screen.shows("8 is the highest intensity")
    assert screen.wait() == 3
    assert "intensity 9 is above 8, which is the highest now" in screen.raw
    assert massager(tmp_path, "screening", "--well").code == 0
    profile = read_profile(person)
    assert profile is not None
    assert (profile.sore, profile.cap, profile.asked_after) == (None, 10, 1)


# --- `massager screening` ------------------------------------------------------------------------


def test_the_answers_are_shown(person: Path, tmp_path: Path) -> None:
    done = massager(tmp_path, "screening", "--show")
    assert done.code == 0
    assert "Nothing speaks against a session." in done.out
    found: dict[str, Any] = json.loads(massager(tmp_path, "screening", "--json").out)
    assert (found["permitted"], found["cap"], found["path"]) == (True, 10, str(person))


def test_an_answer_that_speaks_against_it_is_shown_and_refuses(tmp_path: Path) -> None:
    screened(config_folder(tmp_path), answers={**healthy().answers, "skin": Answer(True)})
    shown = massager(tmp_path, "screening", "--show")
    assert shown.code == 3
    assert "broken, cut or bruised skin: yes" in shown.out
    assert (
        "do not use a massager with broken, cut or bruised skin" in massager(tmp_path, *START).err
    )


def test_answers_that_are_too_old_refuse(tmp_path: Path) -> None:
    old = date.today() - timedelta(days=181)  # noqa: DTZ011
    screened(config_folder(tmp_path), answered=old)
    done = massager(tmp_path, *START)
    assert done.code == 3
    assert "more than 180 days ago" in done.err


def test_sore_feet_can_be_told_without_a_session(person: Path, tmp_path: Path) -> None:
    assert "8 now" in massager(tmp_path, "screening", "--sore").out
    assert "intensity 9 is above 8" in massager(tmp_path, *START, "--intensity", "9").err
    assert "10 now" in massager(tmp_path, "screening", "--well").out


# --- the dose, over processes --------------------------------------------------------------------


@pytest.mark.usefixtures("person")
def test_a_sitting_is_kept_over_restarts_and_the_refusal_says_what_fits(tmp_path: Path) -> None:
    use(tmp_path, 5)
    done = massager(tmp_path, *START)
    assert done.code == 3
    assert "8 min of the 13 min of one sitting are left" in done.err
    assert "6 min of massage would fit now" in done.err
    with Running(tmp_path, *START, *SHORTEST, "--json") as session:
        turns(session)
        refused = massager(tmp_path, *START, *SHORTEST)
        assert "a session runs already, on this or another device" in refused.err
        extended = massager(tmp_path, "extend", "2")
        assert extended.code == 3
        assert "what is left of this sitting" in extended.err
        assert session.end(signal.SIGINT) == 130


@pytest.mark.usefixtures("person")
def test_a_controller_that_is_killed_has_used_what_it_ran_for(tmp_path: Path) -> None:
    with Running(tmp_path, *START, "--json") as session:
        massages(session)
        session.process.kill()
        session.wait()
    [row] = rows(tmp_path)
    assert row.stop_reason == "unknown end"
    assert row.motor_on_ms > 60_000
    done = massager(tmp_path, *START, "--minutes", "10", "--warmup", "120")
    assert done.code == 3
    assert "of the 13 min of one sitting are left" in done.err


@pytest.mark.usefixtures("person")
def test_of_two_starts_at_once_at_most_one_begins(tmp_path: Path) -> None:
    """Two devices, and one person's feet."""
    folders = [tmp_path / "one", tmp_path / "two"]
    places = {"XDG_CONFIG_HOME": "config", "XDG_DATA_HOME": "data", "MASSAGER_RUNTIME_DIR": "run"}
    shared = {name: str(tmp_path / place) for name, place in places.items()}
    for folder in folders:
        folder.mkdir()
    with ExitStack() as stack:
        sessions = [
            stack.enter_context(Running(folder, *START, "--json", extra=shared))
            for folder in folders
        ]
        for session in sessions:
            turns(session)
        codes = [session.process.poll() for session in sessions]
        assert codes.count(None) == 1
        assert codes.count(3) == 1
        refused = sessions[0 if codes[0] == 3 else 1]
        assert "a session runs already, on this or another device" in "".join(refused.lines())


@pytest.mark.usefixtures("person")
def test_three_sittings_are_a_day(tmp_path: Path) -> None:
    for hours in (9, 6, 3):
        use(tmp_path, 13, ended_ms_ago=hours * 60 * MINUTE)
    done = massager(tmp_path, *START)
    assert done.code == 3
    assert "0 min of the 39 min in any 24 hours are left" in done.err


@pytest.mark.usefixtures("person")
def test_deleting_the_history_gains_nothing(tmp_path: Path) -> None:
    use(tmp_path, 13)
    for path in (tmp_path / "data" / "massager").iterdir():
        path.unlink()
    done = massager(tmp_path, *START)
    assert done.code == 3
    assert "the history was lost" in done.err


@pytest.mark.usefixtures("person")
def test_without_a_history_no_real_device_starts_and_a_simulated_one_does(tmp_path: Path) -> None:
    (tmp_path / "no folder").write_text("")
    nowhere = {"MASSAGER_HISTORY": str(tmp_path / "no folder" / "history.db")}
    done = massager(tmp_path, *START, extra=nowhere)
    assert done.code == 3
    assert "cannot be written" in done.err


@pytest.mark.usefixtures("person")
def test_quiet_hours_refuse_what_is_too_strong_for_them(tmp_path: Path) -> None:
    quiet = '[[quiet]]\nfrom = "00:00"\nto = "00:00"\nmax_intensity = 3\n'
    (config_folder(tmp_path) / "config.toml").write_text(quiet)
    done = massager(tmp_path, *START, "--intensity", "4")
    assert done.code == 3
    assert "intensity 4 is above 3, which is the highest now: quiet hours" in done.err


def zone_in_which_it_is(hour: int, minute: int, second: int) -> str:
    """For TZ: as POSIX has it, an offset to the second."""
    wanted = hour * 3600 + minute * 60 + second
    east_s = (wanted - int(time.time()) + 43_200) % 86_400 - 43_200
    sign, west_s = ("-", east_s) if east_s >= 0 else ("+", -east_s)
    return f"QQQ{sign}{west_s // 3600:02d}:{west_s // 60 % 60:02d}:{west_s % 60:02d}"


def test_quiet_hours_that_begin_lower_a_session_softly_and_it_is_told(tmp_path: Path) -> None:
    screened(config_folder(tmp_path), answered=date.today() - timedelta(days=2))  # noqa: DTZ011
    quiet = '[[quiet]]\nfrom = "22:00"\nto = "07:00"\nmax_intensity = 3\n'
    (config_folder(tmp_path) / "config.toml").write_text(quiet)
    words = (*START, *SHORTEST, "--intensity", "6", "--json")
    with Running(tmp_path, *words, extra={"TZ": zone_in_which_it_is(21, 59, 53)}) as session:
        assert session.wait() == 0
        events = [json.loads(line) for line in session.lines()]
    why = "quiet hours from 22:00 to 07:00, 3 at most"
    told = [event for event in events if event["event"] in ("notice", "changed")]
    assert told == [
        {"event": "notice", "text": "from 22:00 at most 3 (quiet hours)"},
        {"event": "changed", "intensity": 3, "reason": why},
    ]
    changed = events.index(told[1])
    outputs = [event["output_permille"] for event in events if event["event"] == "status"]
    assert max(outputs) > 339
    after = [event for event in events[changed:] if event["event"] == "status"][3:]
    assert {event["intensity"] for event in after} == {3}
    assert max(event["output_permille"] for event in after) == 339
    with history(tmp_path) as store:
        notes = [event.text for event in store.events(store.sessions()[0].id)]
    assert f"intensity 3, was 6 ({why})" in notes


def test_a_mistake_in_the_config_keeps_nobody_from_noting_sore_feet(
    person: Path, tmp_path: Path
) -> None:
    config = config_folder(tmp_path) / "config.toml"
    config.write_text("intensity = 99\n", encoding="utf-8")
    assert massager(tmp_path, "screening", "--sore").code == 0
    profile = read_profile(person)
    assert profile is not None
    assert profile.sore == date.today()  # noqa: DTZ011 (the person's own day)
    config.write_text('[[devices]]\nname = "a"\nperson = "anna"\n', encoding="utf-8")
    done = massager(tmp_path, "screening", "--well")
    assert (done.code, "device is missing" in done.err) == (2, True)  # whose feet is not known


# --- stop --because ------------------------------------------------------------------------------


@pytest.mark.usefixtures("person")
def test_a_stop_with_a_reason_stops_first_then_notes_it_and_advises(tmp_path: Path) -> None:
    with Running(tmp_path, *START, "--json") as session:
        turns(session)
        done = massager(tmp_path, "stop", "--because", "tingling")
        assert done.code == 0
        assert session.wait() == 0
    stopped, advice = done.out.split("\n\n")
    assert stopped.endswith("The motor is off (the device confirmed it).")
    assert advice.startswith("Tingling may mean that a nerve is pressed.")
    [row] = rows(tmp_path)
    assert (row.because, row.stop_reason) == ("tingling", "requested")


def test_a_reason_that_nobody_knows_stops_all_the_same(tmp_path: Path) -> None:
    with Running(tmp_path, "start", "--device", "sim:", "--speed", "20", "--json") as session:
        turns(session)
        done = massager(tmp_path, "stop", "--because", "the\x1b[31m cat\n" + "x" * 500)
        assert done.code == 0
        assert session.wait() == 0
    assert "Words with advice of their own: pain, tingling" in done.out
    [row] = rows(tmp_path)
    assert row.because is not None
    assert row.because.isprintable()
    assert len(row.because) == 80


def test_a_reason_is_noted_with_the_session_that_was_stopped_and_not_with_the_newest(
    tmp_path: Path,
) -> None:
    use(tmp_path, 9, 2_000, person="anna", reason="requested")
    use(tmp_path, 5, 60_000, person="ben", reason="requested")  # began later, ended before
    use(tmp_path, 0, 1_000, person="ben", reason="refused")
    assert "Pain is a reason to stop" in massager(tmp_path, "stop", "--because", "pain").out
    noted = [(row.person, row.because) for row in rows(tmp_path) if row.because]
    assert noted == [("anna", "pain")]


def test_a_reason_for_a_stop_of_two_persons_is_noted_with_both(tmp_path: Path) -> None:
    use(tmp_path, 9, 3_000, person="anna", reason="requested")
    use(tmp_path, 5, 2_000, person="ben", reason="emergency")
    use(tmp_path, 1, 1_000, person="carl")  # completed by itself, and felt nothing
    massager(tmp_path, "stop", "--because", "numbness")
    noted = {row.person: row.because for row in rows(tmp_path)}
    assert noted == {"anna": "numbness", "ben": "numbness", "carl": None}


def test_a_reason_that_comes_later_is_noted_with_the_last_session_of_the_day(
    tmp_path: Path,
) -> None:
    use(tmp_path, 9, 25 * 60 * MINUTE, person="ben", reason="requested")
    massager(tmp_path, "stop", "--because", "shock")
    assert [row.because for row in rows(tmp_path)] == [None]
    use(tmp_path, 9, 60 * MINUTE, person="anna")
    massager(tmp_path, "stop", "--because", "shock")
    assert [row.because for row in rows(tmp_path)] == ["shock", None]


def test_what_reasons_add_up_to_is_one_person_s(tmp_path: Path) -> None:
    day = 24 * 60 * MINUTE
    for days, person in ((22, "ben"), (8, "anna"), (4, "anna")):
        use(tmp_path, 5, days * day, person=person, reason="requested")
        with history(tmp_path) as store:
            store.set_because(store.sessions()[0].id, "Cramp")
    use(tmp_path, 5, 2_000, person="ben", reason="requested")
    assert (
        "see a doctor or a podiatrist" not in massager(tmp_path, "stop", "--because", "cramp").out
    )
    use(tmp_path, 5, 1_000, person="anna")
    with history(tmp_path) as store:  # ben's is no longer one that this stop has ended
        end = End(ago(20_000), "requested", "", 5 * MINUTE, 500, True)
        with store.transaction():
            store.end(4, end)
    assert "cramps on 3 days of" in massager(tmp_path, "stop", "--because", "cramp").out


def test_advice_comes_after_the_word_that_nothing_could_be_stopped(tmp_path: Path) -> None:
    done = massager(tmp_path, "stop", "--because", "shock")
    assert done.code == 4
    assert "no device is chosen to send a stop to" in done.err
    assert "Pull the plug and do not use it again" in done.out


def test_a_history_that_cannot_be_used_does_not_fail_the_stop(tmp_path: Path) -> None:
    sim = ("start", "--device", "sim:", "--speed", "20", "--json")
    with Running(tmp_path, *sim) as session:
        turns(session)
        (tmp_path / "other.db").write_bytes(b"no history" * 1000)
        (tmp_path / "folder").mkdir()
        broken = {"MASSAGER_HISTORY": str(tmp_path / "folder")}
        done = massager(tmp_path, "stop", "--because", "pain", extra=broken)
        assert done.code == 0
        assert session.wait() == 0
    assert "the reason could not be noted" in done.err
    assert "Pain is a reason to stop" in done.out
