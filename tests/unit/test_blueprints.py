"""The blueprints as files: every input is used and every use is an input.

Home Assistant itself judges them in `make home-assistant`.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from massager.home_assistant.commands import StartCommand, parse_command

FOLDER = Path(__file__).parents[2] / "blueprints/automation/massager"
FILES = sorted(FOLDER.glob("*.yaml"))


class Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Knows `!input`."""


Loader.add_constructor("!input", lambda loader, node: {"!input": loader.construct_scalar(node)})


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(path.read_text("utf-8"), Loader)
    return found


def inputs(table: dict[str, Any]) -> set[str]:
    """Their names, those in sections included."""
    found: set[str] = set()
    for key, row in table.items():
        found |= inputs(row["input"]) if "input" in row else {key}
    return found


def uses(table: object) -> set[str]:
    if isinstance(table, dict):
        named = {table["!input"]} if "!input" in table else set()
        return named.union(*map(uses, table.values()))
    return set().union(*map(uses, table)) if isinstance(table, list) else set()


def test_both_are_there() -> None:
    assert [path.name for path in FILES] == ["bedtime.yaml", "session_ended_early.yaml"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_input_is_used_and_every_use_is_an_input(path: Path) -> None:
    table = load(path)
    assert inputs(table["blueprint"]["input"]) == uses(
        {key: row for key, row in table.items() if key != "blueprint"}
    )
    assert table["blueprint"]["domain"] == "automation"
    known = {"blueprint", "mode", "max", "max_exceeded", "triggers", "variables", "conditions"}
    assert set(table) <= known | {"actions"}


def test_the_bedtime_start_is_a_command_that_is_taken() -> None:
    text = (FOLDER / "bedtime.yaml").read_text("utf-8")
    keys = re.findall(r"'(\w+)':", text.split("{{ {", 1)[1].split("| to_json")[0])
    values: dict[str, object] = {
        "action": "start",
        "at": 1_795_000_000.5,
        "id": "bedtime-1.5",
        "intensity": 5,
        "minutes": 7.5,
        "program": "bedtime",
    }
    assert set(keys) == set(values)
    assert isinstance(parse_command(json.dumps(values).encode()), StartCommand)


def test_an_event_that_comes_back_from_unavailable_is_not_told_again() -> None:
    trigger = load(FOLDER / "session_ended_early.yaml")["triggers"][0]
    assert trigger["not_from"] == ["unavailable"]
