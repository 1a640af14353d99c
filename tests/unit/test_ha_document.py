"""docs/HOME_ASSISTANT.md against the code: what it says of the MQTT interface is so."""

import json
import re
from pathlib import Path

from massager.daemon.face import RefusalKind
from massager.home_assistant.commands import ACTIONS, parse_command
from massager.home_assistant.entities import ENTITIES, EVENTS, PHASES
from massager.home_assistant.states import Chosen, View, state_of
from massager.snapshot import Snapshot

TEXT = (Path(__file__).parents[2] / "docs" / "HOME_ASSISTANT.md").read_text()
INTERFACE = TEXT.partition("## The MQTT interface")[2]
VIEW = View(
    *(Snapshot("idle", 0), 1, False, True, "connected", None, (), None),
    *(Chosen(3, 8.0, 90.0, "classic"), None, None, None, None, None, None, None),
)


def test_the_state_that_is_shown_has_every_key_and_no_other() -> None:
    shown, _ = json.JSONDecoder().raw_decode(INTERFACE[INTERFACE.index('{"phase"') :])
    assert list(shown) == list(state_of(VIEW))


def test_every_command_that_is_shown_is_one_and_none_is_missing() -> None:
    rows = [line for line in INTERFACE.splitlines() if line.startswith("| `{")]
    shown = [text for row in rows for text in re.findall(r"`(\{.*?\})`", row)]
    read = [parse_command(text.replace("…", "1795000000").encode()) for text in shown]
    assert {command.action for command in read} == set(ACTIONS)


def test_every_kind_of_a_refusal_is_named() -> None:
    [named] = re.findall(r"`kind` is one of: (.*?)\.\n", INTERFACE, re.DOTALL)
    words = set(re.split(r",\s+", re.sub(r"\s*\(.*?\)", "", named, flags=re.DOTALL)))
    ours = {"bad request", "late", "ahead", "seen", "before boot", "before stop", "out of order"}
    assert words == ours | {kind.value for kind in RefusalKind} | {"refused"}


def test_every_phase_and_event_is_named_as_the_payload_has_it() -> None:
    assert all(re.search(rf"[ ,]{phase}\b", TEXT) for phase in PHASES)
    assert f"| {', '.join(EVENTS)} |" in INTERFACE


def test_the_card_shows_entities_that_are_there() -> None:
    shown = re.findall(r"(\w+)\.foot_massager_(\w+)", TEXT)
    assert len(shown) >= 10
    assert set(shown) <= {(row.component, row.key) for row in ENTITIES}
