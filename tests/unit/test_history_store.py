"""The history's file: what is in it, and what becomes of it when it is lost, damaged or strange."""

import os
import sqlite3
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from massager.admission import allowance_of
from massager.errors import HistoryUnusable
from massager.history.file import Place, read_known
from massager.history.records import UNKNOWN_END, End, Event, Sample, Sign, Spent, Stamp
from massager.history.schema import _SCRIPTS, VERSION, migrate, version_of
from massager.history.store import Store, is_alive
from tests.history_examples import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    NEW,
    NOON,
    SIMULATED,
    WHO,
    later,
    left_open,
    open_store,
    place_in,
    use,
)

SAMPLE = Sample(1_000, "warm-up", 200, 190, 6, "on", 31.5)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Nothing is there yet."""
    return place_in(tmp_path)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def forget_boot(stamp: Stamp, boot_ms: int) -> Stamp:
    """The same moment on the wall, after another boot."""
    return replace(stamp, boot="9999", boot_ms=boot_ms)


# --- what is in it ------------------------------------------------------------------------------


def test_a_session_is_there_as_it_was_written(place: Place) -> None:
    event = Event(20, NOON, "phase", "connecting")
    with open_store(place) as store:
        number, spent = store.begin(NEW, NOON)
        with store.transaction():
            store.identified(number, WHO)
            store.sign(number, Sign(later(NOON, 1_000), 900, 200))
            store.add_event(number, event)
            store.add_sample(number, SAMPLE)
            end = End(later(NOON, 2_000), "requested", "Ctrl-C", 1_900, 210, True)
            store.end(number, end)
    assert (number, spent) == (1, [])

    with Store.read(place) as store:
        [row] = store.sessions()
        assert store.session(1) == row
        assert store.session(2) is None
        assert store.session(10**30) is None
        assert store.events(1) == [event]
        assert store.samples(1) == [SAMPLE]
    assert (row.device, row.url, row.simulated) == ("foot-1", "serial:/dev/ttyUSB0", False)
    assert (row.program, row.intensity, row.minutes, row.warmup_s) == ("classic", 6, 8, 90)
    assert (row.started, row.seen, row.ended) == (NOON, end.at, end.at)
    assert (row.stop_reason, row.detail, row.because) == ("requested", "Ctrl-C", None)
    assert (row.motor_on_ms, row.highest_permille, row.output_confirmed) == (1_900, 210, True)
    assert (row.counts, row.speed, row.origin, row.pid) == (True, 1, "terminal", os.getpid())


def test_a_wall_clock_stands_in_the_file_with_its_offset(place: Place) -> None:
    with open_store(place) as store:
        use(store)
    connection = sqlite3.connect(place.path)
    found = connection.execute("SELECT started_at, started_utc_ms FROM sessions").fetchone()
    connection.close()
    assert found == ("2026-11-21T13:00:00+01:00", 1_795_262_400_000)


def test_folder_and_files_are_their_owners_alone(place: Place) -> None:
    with open_store(place) as store:
        use(store)
        for path in place.path.parent.iterdir():
            assert mode_of(path) == 0o600, path
        assert mode_of(place.path.parent) == 0o700
        assert mode_of(place.known) == 0o600


def test_it_is_written_so_that_a_commit_lasts(place: Place) -> None:
    with open_store(place) as store:
        connection = store._connection
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)


def test_it_keeps_at_most_256_kib_of_a_file_in_memory(place: Place) -> None:
    with open_store(place) as store:
        assert store._connection.execute("PRAGMA cache_size").fetchone() == (-256,)


def test_what_a_transaction_did_not_finish_is_not_there(place: Place) -> None:
    with open_store(place) as store:
        number = store.begin(NEW, NOON).id

        def fail_halfway() -> None:
            with store.transaction():
                store.add_sample(number, SAMPLE)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail_halfway()
        assert store.samples(number) == []


def test_a_row_for_a_session_that_is_gone_goes_nowhere(place: Place) -> None:
    with open_store(place) as store, store.transaction():
        store.add_sample(7, SAMPLE)
        store.add_event(7, Event(0, NOON, "phase", "x"))
        store.sign(7, Sign(NOON, 0, 0))


def test_the_newest_comes_first_by_number_whatever_the_clock_said(place: Place) -> None:
    with open_store(place) as store:
        for utc_ms in (5_000, 1_000, 9_000, -1):
            use(store, replace(NOON, utc_ms=utc_ms))
        assert [row.id for row in store.sessions()] == [4, 3, 2, 1]
        assert [row.id for row in store.sessions(limit=2)] == [4, 3]
        assert [row.id for row in store.sessions(since_utc_ms=2_000)] == [3, 1]


def test_a_reason_that_a_person_gives_is_kept(place: Place) -> None:
    with open_store(place) as store:
        number = use(store)
        store.set_because(number, "tingling")
        [row] = store.sessions()
    assert row.because == "tingling"


# --- whose dose it uses up ----------------------------------------------------------------------

ANNA, BEN = (replace(NEW, person=name) for name in ("anna", "ben"))


def minutes_of(store: Store, person: str) -> list[int]:
    return [spent.motor_on_ms // MINUTE_MS for spent in store.spent(person)]


def test_each_person_has_spent_their_own(place: Place) -> None:
    with open_store(place) as store:
        use(store, new=ANNA, motor_on_ms=8 * MINUTE_MS)
        use(store, new=BEN, motor_on_ms=5 * MINUTE_MS)
        use(store, new=ANNA, motor_on_ms=6 * MINUTE_MS)
        assert minutes_of(store, "anna") == [8, 6]
        assert minutes_of(store, "ben") == [5]
        assert minutes_of(store, "carla") == []
        assert [row.person for row in store.sessions(person="anna")] == ["anna", "anna"]


def test_what_nobody_is_named_for_counts_for_everybody(place: Place) -> None:
    with open_store(place) as store:
        use(store, new=ANNA, motor_on_ms=8 * MINUTE_MS)
        use(store, motor_on_ms=5 * MINUTE_MS)
        use(store, new=BEN, motor_on_ms=6 * MINUTE_MS)
        assert minutes_of(store, "anna") == [8, 5]
        assert minutes_of(store, "ben") == [5, 6]
        assert minutes_of(store, "") == [8, 5, 6]


def test_a_session_that_runs_is_seen_by_the_next_start_for_the_same_person_alone(
    place: Place,
) -> None:
    with open_store(place) as store:
        store.begin(ANNA, NOON)
        assert store.begin(BEN, NOON).spent == []
        [running] = store.begin(ANNA, NOON).spent
        assert running.ended is None


def test_as_much_of_each_person_is_told_as_can_matter_to_a_day(place: Place) -> None:
    """However much the others have had since."""
    with open_store(place) as store:
        use(store, new=ANNA, motor_on_ms=7 * MINUTE_MS)
        for _ in range(10):
            use(store, new=BEN, motor_on_ms=13 * MINUTE_MS)
        assert minutes_of(store, "anna") == [7]
        assert minutes_of(store, "ben") == [13] * 6  # 78 min, twice what a day allows
        store.erase(later(NOON, HOUR_MS))
        assert minutes_of(store, "anna") == [7]
        assert minutes_of(store, "ben") == [13] * 6


def test_a_lost_history_is_a_sitting_of_everybody_and_the_longest_day_of_anybody(
    place: Place,
) -> None:
    with open_store(place) as store:
        for _ in range(2):
            use(store, new=ANNA, motor_on_ms=13 * MINUTE_MS)
        use(store, new=BEN, motor_on_ms=5 * MINUTE_MS)
    place.path.unlink()
    with open_store(place, later(NOON, HOUR_MS)) as store:
        for person in ("anna", "ben", "carla"):
            assert minutes_of(store, person) == [13, 13]  # anna's day but for her newest; a sitting


def older_history(place: Place) -> None:
    """Of the version before persons, with a session of 8 min."""
    place.path.parent.mkdir(parents=True)
    connection = sqlite3.connect(place.path, isolation_level=None)
    migrate(connection, _SCRIPTS[:1])
    connection.execute(
        "INSERT INTO sessions VALUES (1, 'foot-1', 'serial:/dev/ttyUSB0', 0, 1, 1, 'classic', 6, "
        "8, 90, 'terminal', ?1, ?2, 60, ?3, ?4, 1, ?1, ?2, 60, ?3, ?4, 1, ?1, ?2, 60, ?3, ?4, 1, "
        "'completed', '', NULL, 480000, 600, 1, 4711, 0)",
        ("2026-11-21T13:00:00+01:00", NOON.utc_ms, NOON.boot, NOON.boot_ms),
    )
    connection.close()


def test_sessions_of_a_time_without_persons_are_kept_and_are_everybodys(place: Place) -> None:
    older_history(place)
    with open_store(place, later(NOON, HOUR_MS)) as store:
        [row] = store.sessions()
        assert (row.id, row.person, row.motor_on_ms) == (1, "", 480_000)
        assert minutes_of(store, "anna") == [8]


def test_whoever_only_reads_an_older_history_sees_all_of_it(place: Place) -> None:
    older_history(place)
    with Store.read(place) as store:
        assert [row.id for row in store.sessions()] == [1]
        with pytest.raises(HistoryUnusable, match="may not be written"):
            store.begin(NEW, NOON)


def test_the_newest_use_is_the_person_s_or_nobodys(place: Place) -> None:
    with open_store(place) as store:
        assert store.newest_use("anna") is None
        nobody = use(store)
        anna = use(store, new=ANNA)
        ben = use(store, new=BEN)
        use(store, new=ANNA, motor_on_ms=0)
        use(store, new=ANNA, who=replace(WHO, simulated=True, counts=False))
        left_open(store, later(NOON, MINUTE_MS))
        newest = {name: store.newest_use(name) for name in ("anna", "ben", "carla", "")}
    found = {name: row and row.id for name, row in newest.items()}
    assert found == {"anna": anna, "ben": ben, "carla": nobody, "": ben}


# --- what uses up the dose ----------------------------------------------------------------------


def test_a_use_is_told_in_the_order_it_began(place: Place) -> None:
    with open_store(place) as store:
        use(store, motor_on_ms=1_000)
        use(store, later(NOON, HOUR_MS), 2_000, confirmed=False)
        assert store.spent() == [
            Spent(1_000, NOON, later(NOON, 1_000), seen_end=True),
            Spent(2_000, later(NOON, HOUR_MS), later(NOON, HOUR_MS + 2_000), seen_end=False),
        ]


def test_a_start_sees_what_runs_and_was_in_one_transaction(place: Place) -> None:
    with open_store(place) as one, open_store(place) as two:
        use(one)
        first = one.begin(NEW, later(NOON, HOUR_MS))
        second = two.begin(NEW, later(NOON, HOUR_MS))
    assert [spent.ended is None for spent in first.spent] == [False]
    assert [spent.ended is None for spent in second.spent] == [False, True]


def test_a_simulated_device_uses_up_nothing(place: Place) -> None:
    with open_store(place) as store:
        use(store, new=SIMULATED, who=replace(WHO, simulated=True, counts=False))
        use(store, who=replace(WHO, simulated=True, counts=False))
        assert store.spent() == []
        assert len(store.sessions()) == 2
    assert read_known(place.known) is None


def test_a_start_that_reached_no_device_uses_up_nothing(place: Place) -> None:
    with open_store(place) as store:
        number = store.begin(NEW, NOON).id
        with store.transaction():
            store.end(number, End(NOON, "no handshake", "", 0, 0, False))
        assert store.spent() == []


def test_only_so_much_is_told_as_can_matter_to_a_day(place: Place) -> None:
    with open_store(place) as store:
        for hour in range(12):
            use(store, later(NOON, hour * HOUR_MS), 13 * MINUTE_MS)
        spent = store.spent()
    assert sum(each.motor_on_ms for each in spent) == 78 * MINUTE_MS
    assert spent[-1].began == later(NOON, 11 * HOUR_MS)


# --- programs that went without a word ----------------------------------------------------------


def test_a_session_whose_program_is_gone_has_an_unknown_end(place: Place) -> None:
    with open_store(place) as store:
        number = left_open(store, NOON)
    with open_store(place, later(NOON, HOUR_MS)) as store:
        [row] = store.sessions()
        [spent] = store.spent()
    assert (row.id, row.stop_reason, row.output_confirmed) == (number, UNKNOWN_END, False)
    assert row.ended == row.seen == later(NOON, 60_000)
    assert spent == Spent(60_000, NOON, later(NOON, 60_000), seen_end=False)


def test_a_session_that_signed_a_moment_ago_is_left_alone(place: Place) -> None:
    with open_store(place) as store:
        left_open(store, NOON)
        with open_store(place, later(NOON, 69_000)) as other:
            [row] = other.sessions()
            assert row.ended is None
            assert is_alive(row, later(NOON, 69_000))
            assert not is_alive(row, later(NOON, 71_000))
            assert not is_alive(row, forget_boot(later(NOON, 61_000), row.seen.boot_ms))
            assert not is_alive(replace(row, pid=2**22 + 1), later(NOON, 61_000))


def test_a_session_that_was_thought_dead_and_signs_again_runs(place: Place) -> None:
    with open_store(place) as store:
        number = left_open(store, NOON)
        with open_store(place, later(NOON, HOUR_MS)):
            pass
        assert store.sessions()[0].stop_reason == UNKNOWN_END
        with store.transaction():
            store.sign(number, Sign(later(NOON, HOUR_MS), 70_000, 500))
        [row] = store.sessions()
    assert (row.ended, row.stop_reason, row.motor_on_ms) == (None, None, 70_000)


# --- a history that is lost ---------------------------------------------------------------------

REST = Spent(13 * MINUTE_MS, later(NOON, DAY_MS), later(NOON, DAY_MS), True, assumed=True)


def opened_next_day(place: Place) -> tuple[list[Spent], list[str]]:
    with open_store(place, later(NOON, DAY_MS)) as store:
        return [spent for spent in store.spent() if spent.assumed], store.notices


def remove(place: Place) -> None:
    for path in place.path.parent.iterdir():
        path.unlink()


def test_the_first_history_assumes_nothing(place: Place) -> None:
    assert opened_next_day(place) == ([], [])


def test_a_deleted_history_is_a_sitting_that_just_ended_and_told_once(place: Place) -> None:
    with open_store(place) as store:
        number = use(store)
    remove(place)

    spent, [notice] = opened_next_day(place)

    assert spent == [REST]
    assert "is gone" in notice
    assert opened_next_day(place) == ([REST], [])
    with open_store(place) as store:
        assert store.begin(NEW, NOON).id > number
        assert [row.id for row in store.sessions()] == [number + 2]


def test_a_deleted_history_of_simulated_sessions_assumes_nothing(place: Place) -> None:
    with open_store(place) as store:
        use(store, new=SIMULATED, who=replace(WHO, simulated=True, counts=False))
    remove(place)
    assert opened_next_day(place) == ([], [])


def test_a_history_that_was_set_back_into_its_newest_session_is_noticed(place: Place) -> None:
    """A copy that was made while two massaged knows of both, but not how long it became."""
    with open_store(place) as store:
        numbers = [store.begin(new, NOON).id for new in (ANNA, BEN)]
        for number in numbers:
            with store.transaction():
                store.identified(number, WHO)
                store.sign(number, Sign(later(NOON, 60_000), 60_000, 400))
            store.note_counting(NOON)
    older = place.path.read_bytes()
    with open_store(place) as store:
        for number in reversed(numbers):
            ended = later(NOON, 13 * MINUTE_MS)
            with store.transaction():
                store.end(number, End(ended, "completed", "", 13 * MINUTE_MS, 400, True))
            store.note_counting(ended)
    remove(place)
    place.path.write_bytes(older)

    spent, [notice] = opened_next_day(place)

    assert spent[-1] == REST
    assert "set back" in notice
    assert opened_next_day(place)[1] == []


def test_a_history_that_was_set_back_is_noticed(place: Place) -> None:
    with open_store(place) as store:
        use(store)
    older = place.path.read_bytes()
    with open_store(place) as store:
        use(store)
    remove(place)
    place.path.write_bytes(older)

    spent, [notice] = opened_next_day(place)

    assert spent[-1] == REST
    assert "set back" in notice
    with open_store(place) as store:
        assert store.begin(NEW, NOON).id > 2


def test_a_log_that_was_removed_from_beside_it_is_noticed(place: Place, tmp_path: Path) -> None:
    with open_store(place) as store:
        use(store)
        copy = place_in(tmp_path / "copy")
        copy.path.parent.mkdir(parents=True)
        copy.path.write_bytes(place.path.read_bytes())  # and not its -wal
        place.known.rename(copy.path.parent / "history.known")
        copy = replace(copy, known=copy.path.parent / "history.known")
    spent, notices = opened_next_day(copy)
    assert spent == [REST]
    assert len(notices) == 1


def test_another_history_than_the_one_that_counted_is_noticed(place: Place, tmp_path: Path) -> None:
    with open_store(place) as store:
        use(store)
    other = replace(place, path=tmp_path / "other.db")

    spent, [notice] = opened_next_day(other)

    assert spent == [REST]
    assert "is gone" in notice
    assert "not the one" in opened_next_day(place)[1][0]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"history": 1}', b"\xff" * 2_000])
def test_a_damaged_note_about_the_history_counts_as_a_loss(place: Place, content: bytes) -> None:
    with open_store(place) as store:
        use(store)
    place.known.write_bytes(content)
    assert opened_next_day(place)[0] == [REST]


def damaged(path: Path, at: int, count: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xa5" * count)


@pytest.mark.parametrize(("at", "count"), [(0, 100), (100, 3_000), (4_096, 4_096), (0, 10**6)])
def test_a_damaged_history_is_moved_aside_and_a_rest_assumed(
    place: Place, at: int, count: int
) -> None:
    with open_store(place) as store:
        for _ in range(20):
            use(store)
    damaged(place.path, at, count)
    before = place.path.read_bytes()

    spent, [notice] = opened_next_day(place)

    assert spent[-1] == REST
    [aside] = place.path.parent.glob("history.db.corrupt-*")
    assert aside.name == "history.db.corrupt-20261122-130000"
    assert aside.read_bytes() == before
    assert "damaged" in notice
    assert str(aside) in notice
    damaged(place.path, 0, 100)
    opened_next_day(place)
    assert len(list(place.path.parent.glob("history.db.corrupt-*"))) == 2


def test_a_second_loss_on_the_same_day_adds_a_second_sitting(place: Place) -> None:
    opened_next_day(place)
    for _ in range(2):
        damaged(place.path, 0, 100)
        spent, _ = opened_next_day(place)
    assert spent == [REST]
    with open_store(place) as store:
        use(store)
    place.known.write_bytes(b"?")
    assert opened_next_day(place)[0] == [REST, REST]


def test_deleting_the_history_again_and_again_never_gains_more_than_the_day(place: Place) -> None:
    """A sitting, ten minutes of rest, and the file is gone: three times, and no fourth."""
    now = NOON
    left = []
    for _ in range(5):
        with open_store(place, now) as store:
            begun = store.begin(NEW, now)
            left.append(allowance_of(begun.spent, now).day_left_ms // MINUTE_MS)
            if left[-1]:
                with store.transaction():
                    store.identified(begun.id, WHO)
                store.note_counting(now)
        remove(place)
        now = later(now, 23 * MINUTE_MS)
        open_store(place, now).close()
        now = later(now, 10 * MINUTE_MS)
    assert left == [39, 26, 13, 0, 0]


def test_what_the_day_has_been_is_known_for_24_hours_after_a_loss(place: Place) -> None:
    with open_store(place) as store:
        for hours in range(3):
            use(store, later(NOON, hours * HOUR_MS), 13 * MINUTE_MS)
    remove(place)
    noted = later(NOON, 2 * HOUR_MS + 13 * MINUTE_MS)
    with open_store(place, later(noted, HOUR_MS)) as store:
        lost = store.spent()
    assert [(each.motor_on_ms, each.ended) for each in lost] == [
        (26 * MINUTE_MS, noted),
        (13 * MINUTE_MS, later(noted, HOUR_MS)),
    ]
    remove(place)
    with open_store(place, later(noted, HOUR_MS + DAY_MS)) as store:
        assert [each.motor_on_ms for each in store.spent()] == [13 * MINUTE_MS]


def test_a_file_that_is_no_database_is_moved_aside_too(place: Place) -> None:
    place.path.parent.mkdir(parents=True)
    place.path.write_text("Dear diary\n" * 1_000)
    assert opened_next_day(place)[0] == [REST]


# --- files that are not touched -----------------------------------------------------------------


def test_a_newer_history_is_refused_with_a_way_on_and_not_touched(place: Place) -> None:
    with open_store(place) as store:
        use(store)
    connection = sqlite3.connect(place.path)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    before = place.path.read_bytes()

    words = r"newer version .* update .* MASSAGER_HISTORY"
    with pytest.raises(HistoryUnusable, match=words):
        open_store(place)
    with pytest.raises(HistoryUnusable, match=words):
        Store.read(place)

    assert place.path.read_bytes() == before
    assert not list(place.path.parent.glob("*corrupt*"))


def test_another_programs_database_is_refused_and_not_touched(place: Place) -> None:
    place.path.parent.mkdir(parents=True)
    connection = sqlite3.connect(place.path)
    connection.execute("CREATE TABLE photos (name TEXT)")
    connection.close()
    before = place.path.read_bytes()

    with pytest.raises(HistoryUnusable, match=r"another program's .* MASSAGER_HISTORY"):
        open_store(place)

    assert place.path.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_told_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(HistoryUnusable, match=r"cannot be written: .* set MASSAGER_HISTORY"):
        open_store(place_in(tmp_path))


def test_a_folder_in_its_place_is_told(place: Place) -> None:
    place.path.mkdir(parents=True)
    with pytest.raises(HistoryUnusable, match="cannot be used"):
        open_store(place)


@pytest.mark.parametrize("name", ["a\0b", "x" * 300])
def test_an_impossible_name_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(HistoryUnusable):
        open_store(replace(place_in(tmp_path), path=tmp_path / name))


def test_reading_makes_and_changes_nothing(place: Place) -> None:
    with pytest.raises(HistoryUnusable, match="there is no history yet"):
        Store.read(place)
    assert not place.path.parent.exists()
    with open_store(place) as store:
        left_open(store, NOON)
    with Store.read(place) as store:
        [row] = store.sessions()
        assert row.ended is None
        with pytest.raises(HistoryUnusable, match="may not be written"):
            store.begin(NEW, NOON)


def test_a_step_to_newer_tables_is_whole_or_not_at_all(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    first = "CREATE TABLE a (x); INSERT INTO a VALUES (1)"
    migrate(connection, [first])
    assert version_of(connection) == 1
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, [first, "ALTER TABLE a ADD COLUMN y; ALTER TABLE b ADD COLUMN y"])
    assert version_of(connection) == 1
    assert connection.execute("SELECT * FROM a").fetchall() == [(1,)]
    migrate(connection, [first, "ALTER TABLE a ADD COLUMN y DEFAULT 2"])
    assert version_of(connection) == 2
    assert connection.execute("SELECT * FROM a").fetchall() == [(1, 2)]
    connection.close()


# --- taking away --------------------------------------------------------------------------------


def test_erasing_keeps_the_bare_numbers_of_the_day_and_nothing_else(place: Place) -> None:
    with open_store(place) as store:
        use(store, later(NOON, -3 * DAY_MS), 13 * MINUTE_MS)
        number = use(store)
        with store.transaction():
            store.add_event(number, Event(0, NOON, "phase", "a-secret-word"))
            store.add_sample(number, SAMPLE)
        store.set_because(number, "a-secret-word")
        before = [spent for spent in store.spent() if spent.began == NOON]

        assert store.erase(later(NOON, HOUR_MS)) == 2

        assert store.sessions() == []
        assert store.session(number) is None
        assert store.events(number) == []
        assert store.samples(number) == []
        assert store.spent() == before
    content = b"".join(path.read_bytes() for path in place.path.parent.iterdir())
    for word in (b"a-secret-word", b"ttyUSB0", b"classic", b"foot-1", b"warm-up", b"terminal"):
        assert word not in content, word


def test_erasing_leaves_what_runs(place: Place) -> None:
    with open_store(place) as store:
        use(store)
        number = left_open(store, later(NOON, HOUR_MS))
        assert store.erase(later(NOON, HOUR_MS + 61_000)) == 1
        assert [row.id for row in store.sessions()] == [number]


def test_erasing_takes_damaged_files_along(place: Place) -> None:
    with open_store(place) as store:
        use(store)
    damaged(place.path, 0, 100)
    with open_store(place) as store:
        assert len(list(place.path.parent.glob("*corrupt*"))) == 1
        store.erase(NOON)
    assert list(place.path.parent.glob("*corrupt*")) == []


def test_bare_numbers_go_when_the_day_is_surely_over(place: Place) -> None:
    with open_store(place) as store:
        use(store)
        store.erase(later(NOON, HOUR_MS))
    with open_store(place, later(NOON, DAY_MS + HOUR_MS)) as store:
        assert store.spent() == []


def test_what_is_older_than_the_days_to_keep_goes_at_the_next_opening(place: Place) -> None:
    with open_store(place) as store:
        for day in (0, 100, 179):
            use(store, later(NOON, day * DAY_MS))
    with open_store(place, later(NOON, 181 * DAY_MS), keep_days=180) as store:
        assert [row.id for row in store.sessions()] == [3, 2]
    with open_store(place, later(NOON, 181 * DAY_MS), keep_days=5) as store:
        assert [row.id for row in store.sessions()] == [3]


def test_a_clock_that_is_years_ahead_removes_nothing_and_gains_nothing(place: Place) -> None:
    with open_store(place) as store:
        use(store)
        spent = store.spent()
    wrong = replace(forget_boot(later(NOON, 3_000 * DAY_MS), 60_000), synchronised=False)
    with open_store(place, wrong, keep_days=180) as store:
        assert [row.id for row in store.sessions()] == [1]
        number = use(store, wrong)
    with open_store(place, replace(wrong, boot_ms=HOUR_MS), keep_days=180) as store:
        assert store.spent()[0] == spent[0]
        assert store.spent()[1].began == wrong
        assert [row.id for row in store.sessions()] == [number]
