"""The documents are true as far as a machine can tell: what they name exists, and parses.

SAFETY.md: every rule has its number, its place and its proof. CODE_OVERVIEW.md: every module.
README and the others: every path, link, command line and make target.
"""

import argparse
import ast
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from massager.cli.parser import COMMANDS, full_parser
from simulator import cli as simulator_cli

ROOT = Path(__file__).parent.parent
PACKAGES = ("massager", "firmware_protocol", "simulator")
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "firmware_protocol" / "SPEC.md",
    *(ROOT / "firmware" / name for name in ("README.md", "boards/esp32/README.md")),
]
SAFETY = ROOT / "docs" / "SAFETY.md"
OVERVIEW = ROOT / "docs" / "CODE_OVERVIEW.md"
INVARIANTS = {f"I{number}" for number in range(1, 16)}
HAZARDS = {f"H{number}" for number in range(1, 19)}

_TEST = re.compile(r"\btests/[\w/.-]+?\.py::\w+")
_PLACE = re.compile(
    r"\b(?:massager|firmware_protocol|simulator)/[\w/]+\.py:[A-Za-z_][\w.]*"
    r"|\bfirmware/[\w/]+\.c:\w+"
)
_C_FUNCTION = re.compile(r"^(?!static inline)[a-z][\w *]*?\b(\w+)\(", re.MULTILINE)
_PATH = re.compile(
    r"(?:massager|firmware_protocol|simulator|tests|docs|benchmarks|firmware)/[\w./*-]*"
    r"|[A-Z_]+\.md|Makefile|pyproject\.toml|requirements-dev\.txt|\.ci/run|demo\.py"
)
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_SYNOPSIS = re.compile(r"[\[\]|…<>{}]|\b[A-Z]{1,}\b")
_SHELL = {"", "sh", "bash", "console", "shell"}


class Rule(NamedTuple):
    """One row of the rules in SAFETY.md."""

    number: str
    against: str
    holds: str
    enforced: str
    proved: str
    status: str


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def _rules(text: str) -> list[Rule]:
    return [Rule(*_cells(row)) for row in text.splitlines() if re.match(r"\| S\d+ \|", row)]


def _numbers(text: str) -> set[str]:
    """The invariants and hazards that are named, with the inside of a range such as I1–I3."""
    found = set(re.findall(r"\b[IH]\d+\b", text))
    for letter, first, last in re.findall(r"\b([IH])(\d+)–\1(\d+)\b", text):
        found |= {f"{letter}{number}" for number in range(int(first), int(last) + 1)}
    return found


@cache
def _defined(path: Path) -> frozenset[str]:
    """The names in a file: `function`, `CONSTANT`, `Class`, `Class.method`; of C the functions."""
    if path.suffix == ".c":
        return frozenset(_C_FUNCTION.findall(_text(path)))
    names: set[str] = set()
    for node in ast.parse(_text(path)).body:
        names.update(_names_of(node))
        if isinstance(node, ast.ClassDef):
            names.update(f"{node.name}.{name}" for part in node.body for name in _names_of(part))
    return frozenset(names)


def _names_of(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Assign(targets=targets):
            yield from (target.id for target in targets if isinstance(target, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name


def _missing(reference: str, separator: str) -> bool:
    file, _, name = reference.partition(separator)
    path = ROOT / file
    return not path.is_file() or name not in _defined(path)


def _code(text: str) -> Iterator[str]:
    """Every line of a shell block and every piece of code inside a sentence."""
    language: str | None = None
    for line in text.splitlines():
        fence = re.match(r"\s*```(\w*)", line)
        if fence:
            language = fence[1] if language is None else None
        elif language is None:
            yield from re.findall(r"`([^`]+)`", line)
        elif language in _SHELL:
            yield line.strip().removeprefix("$ ")


def _commands(text: str, program: str) -> list[list[str]]:
    """The words of each command line of `program`, without the program and its environment."""
    found = []
    for line in _code(text):
        words = re.sub(r"^(?:[A-Z_]+=\S* )+", "", line)
        if re.match(rf"{program} \S", words):
            found.append(shlex.split(re.sub(r"\s[|&].*$", "", words), comments=True)[1:])
    return found


# --- SAFETY.md --------------------------------------------------------------------------------


def test_the_rules_are_numbered_from_1_and_each_number_is_used_once() -> None:
    numbers = [rule.number for rule in _rules(_text(SAFETY))]
    assert numbers == [f"S{index}" for index in range(1, len(numbers) + 1)]


def test_every_invariant_and_every_hazard_has_a_rule() -> None:
    covered = _numbers(" ".join(rule.against for rule in _rules(_text(SAFETY))))
    assert sorted((INVARIANTS | HAZARDS) - covered) == []
    assert sorted(covered - INVARIANTS - HAZARDS) == []


@pytest.mark.parametrize("rule", _rules(_text(SAFETY)), ids=lambda rule: rule.number)
def test_a_rule_is_done_with_place_and_proof_or_says_why_not(rule: Rule) -> None:
    status, _, reason = rule.status.partition(":")
    assert status in {"done", "todo", "exempt"}
    if status == "done":
        assert _PLACE.search(rule.enforced), "where is it enforced?"
        assert _TEST.search(rule.proved), "which test fails without it?"
    else:
        assert len(reason.split()) >= 3, "why?"


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_every_test_that_a_document_names_exists(document: Path) -> None:
    named = set(_TEST.findall(_text(document)))
    assert sorted(node for node in named if _missing(node, "::")) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_every_function_that_a_document_names_exists(document: Path) -> None:
    named = set(_PLACE.findall(_text(document)))
    assert sorted(place for place in named if _missing(place, ":")) == []


# --- paths, links, commands ---------------------------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_every_path_that_a_document_names_exists(document: Path) -> None:
    named = {code.split(":")[0] for code in _code(_text(document)) if " " not in code}
    paths = {path for path in named if _PATH.fullmatch(path)}
    places = (ROOT, document.parent)
    assert sorted(p for p in paths if not any(any(at.glob(p.rstrip("/"))) for at in places)) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_every_link_inside_the_project_leads_somewhere(document: Path) -> None:
    links = {link.split("#")[0] for link in _LINK.findall(_text(document)) if "://" not in link}
    assert sorted(link for link in links if link and not (document.parent / link).exists()) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_every_command_line_that_a_document_shows_is_understood(document: Path) -> None:
    names = {command.name for command in COMMANDS}
    for words in _commands(_text(document), "massager"):
        is_piece = words[-1].startswith("--") and not words[0].startswith("-")
        if is_piece or _SYNOPSIS.search(" ".join(words)):  # only its words are checked
            assert words[0] in names | {"COMMAND"}, words
            assert set(re.findall(r"--[a-z-]+", " ".join(words))) <= _flags(words[0]), words
        else:
            _parse(words)


def _flags(name: str) -> set[str]:
    """The long flags of a command."""
    parsers = [
        action.choices[name]
        for action in full_parser()._actions
        if isinstance(action, argparse._SubParsersAction) and name in action.choices
    ]
    return {
        flag for parser in parsers for action in parser._actions for flag in action.option_strings
    }


def _parse(words: list[str]) -> None:
    if words[-1] in ("--help", "--version"):
        with pytest.raises(SystemExit, match=r"\A0\Z"):
            full_parser().parse_args(words)
    else:
        full_parser().parse_args(words)


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_every_command_line_of_the_simulator_is_understood(document: Path) -> None:
    for words in _commands(_text(document), "massager-simulator"):
        if not _SYNOPSIS.search(" ".join(word for word in words if "{" not in word)):
            simulator_cli._parser().parse_args(words)


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_every_make_target_that_a_document_names_exists(document: Path) -> None:
    makefiles = {ROOT / "Makefile", ROOT / document.relative_to(ROOT).parts[0] / "Makefile"}
    text = "\n".join(_text(path) for path in makefiles if path.is_file())
    targets = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
    named = {words[0] for words in _commands(_text(document), "make") if words[0].islower()}
    assert named <= targets


# --- CODE_OVERVIEW.md ---------------------------------------------------------------------------


def _modules() -> list[str]:
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return sorted(_name(path) for path in files if path.name != "__init__.py")


def test_the_overview_names_every_module() -> None:
    named = set(re.findall(r"`([\w/]+\.py)", _text(OVERVIEW)))
    assert [module for module in _modules() if module not in named] == []


def test_every_method_that_the_overview_names_exists() -> None:
    """`Class.method` of any file, and `module.function`; what is not ours is not looked at."""
    files = [ROOT / module for module in _modules()]
    classes = {name for path in files for name in _defined(path)}
    functions = {f"{path.stem}.{name}" for path in files for name in _defined(path)}
    stems = {path.stem for path in files}
    named = set(re.findall(r"`(\w+\.\w+)`", _text(OVERVIEW)))
    ours = {name for name in named if name[0].isupper() or name.split(".")[0] in stems}
    ours -= {name for name in ours if name.endswith((".py", ".md"))}
    assert sorted(ours - classes - functions) == []


# --- the tests themselves -----------------------------------------------------------------------


def test_a_rule_without_proof_a_double_number_and_a_wrong_name_would_be_noticed() -> None:
    text = (
        "| S1 | I1–I3 H2 | x | `massager/plan.py:level_of` | - | done |\n"
        "| S1 | I5 | x | `massager/plan.py:nobody` | `tests/test_documents.py::nothing` | todo: |"
    )
    first, second = _rules(text)
    assert Counter(rule.number for rule in (first, second))["S1"] == 2
    assert _numbers(first.against) == {"I1", "I2", "I3", "H2"}
    assert not _TEST.search(first.proved)
    assert not _missing(_PLACE.findall(first.enforced)[0], ":")
    assert _missing(_PLACE.findall(second.enforced)[0], ":")
    assert _missing(_TEST.findall(second.proved)[0], "::")


def test_commands_are_found_in_blocks_and_in_sentences() -> None:
    text = "a `massager stop --now` b\n```sh\n$ A=1 massager start  # x\nmake test\n```\n`massager`"
    assert _commands(text, "massager") == [["stop", "--now"], ["start"]]
    assert _commands(text, "make") == [["test"]]
