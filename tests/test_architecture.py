"""Who may import whom, what the pure files stay free of, and what no committed file may hold."""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = {"firmware_protocol", "massager", "simulator", "tests", "benchmarks"}
# What a pure file is told instead: time, bytes, chance, and what to say.
IMPURE = {"asyncio", "time", "datetime", "random", "socket", "threading", "logging", "os"}
PURE = (
    "firmware_protocol/*.py",
    "massager/plan.py",
    "massager/session/*.py",
    "massager/dose.py",
    "massager/ages.py",
    "massager/limits.py",
    "massager/strict_json.py",
    "massager/history/records.py",
    "massager/history/session_log.py",
    *(
        f"massager/home_assistant/{name}.py"
        for name in ("topics", "entities", "discovery", "states", "commands", "replay", "owners")
    ),
    "simulator/device.py",
    "simulator/device_faults.py",
    "simulator/machine.py",
    "simulator/gate.py",
    "simulator/physics.py",
)
LAZY_SIMULATOR = "massager/transports/memory.py"
CLOCKS = {"monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "clock_gettime"}
CLOCK_FILE = "massager/clock.py"
# Short-lived clients of a running session: blocking sockets, no event loop to ask for the time.
BLOCKING_CLIENTS = ("massager/api/client.py", "massager/cli/")
# In two halves each, so that this file is not found by its own patterns.
FORBIDDEN_TEXT = {
    "the host of a package index": "pypi" + r"\.org|python" + r"hosted\.org|npmjs" + r"\.com",
    "an address of a package index": "--(extra-)?index" + r"-url|/simple" + r"/[a-z]",
    "a path of somebody's machine": r"(?<![\w.])/" + r"(work|root|Users|home/(?!me/)\w+)/",
}


def _sources(*patterns: str) -> list[Path]:
    return sorted(path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file())


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _modules_of(node: ast.AST, package: str) -> Iterator[str]:
    """The modules that an import statement names, in full."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        module = ".".join([*above, *([node.module] if node.module else [])])
        yield module
        yield from (f"{module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called = ast.unparse(node.func)
        if called in {"__import__", "importlib.import_module", "import_module"}:
            yield str(node.args[0].value)


def _imports(path: Path) -> set[str]:
    package = _name(path.parent).replace("/", ".")
    return {module for node in ast.walk(_tree(path)) for module in _modules_of(node, package)}


def _imports_when_loaded(path: Path) -> set[str]:
    """Without those inside a function, and those only for the type checker."""
    package = _name(path.parent).replace("/", ".")
    found: set[str] = set()
    waiting: list[ast.AST] = [_tree(path)]
    while waiting:
        node = waiting.pop()
        found.update(_modules_of(node, package))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        waiting.extend(ast.iter_child_nodes(node))
    return found


def _tops(modules: set[str]) -> set[str]:
    return {module.split(".")[0] for module in modules}


def _is_in(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


PURE_FILES = _sources(*PURE)
PACKAGE_FILES = _sources("firmware_protocol/**/*.py", "massager/**/*.py", "simulator/**/*.py")
TRANSPORTS = _sources("massager/transports/*.py")
ALL_FILES = _sources("*.py", *(f"{package}/**/*.py" for package in sorted(OURS)))


@pytest.mark.parametrize("path", PURE_FILES, ids=_name)
def test_a_pure_file_has_no_clock_no_io_no_chance_and_no_log(path: Path) -> None:
    assert not _tops(_imports(path)) & IMPURE


def test_the_pure_files_are_there() -> None:
    names = {_name(path) for path in PURE_FILES}
    assert {"massager/plan.py", "massager/session/session.py", "massager/limits.py"} <= names
    assert {"simulator/device.py", "simulator/gate.py", "simulator/physics.py"} <= names
    assert {"firmware_protocol/link.py", "firmware_protocol/codec.py"} <= names


@pytest.mark.parametrize("path", _sources("firmware_protocol/**/*.py"), ids=_name)
def test_the_protocol_needs_itself_and_the_standard_library(path: Path) -> None:
    assert _tops(_imports(path)) <= {"firmware_protocol", *sys.stdlib_module_names}


@pytest.mark.parametrize("path", _sources("simulator/**/*.py"), ids=_name)
def test_the_simulator_never_imports_the_controller(path: Path) -> None:
    assert "massager" not in _tops(_imports(path))


@pytest.mark.parametrize("path", _sources("massager/**/*.py"), ids=_name)
def test_the_controller_imports_the_simulator_in_one_place_and_lazily(path: Path) -> None:
    if _name(path) == LAZY_SIMULATOR:
        assert "simulator" in _tops(_imports(path))
        assert "simulator" not in _tops(_imports_when_loaded(path))
    else:
        assert "simulator" not in _tops(_imports(path))


@pytest.mark.parametrize("path", TRANSPORTS, ids=_name)
def test_a_transport_carries_bytes_and_knows_nothing_above_it(path: Path) -> None:
    allowed = ["massager.errors", "massager.transports"]
    if _name(path) == LAZY_SIMULATOR:
        allowed.append("simulator")
    ours = {module for module in _imports(path) if module.split(".")[0] in OURS}
    # `from massager import errors` names the package, too.
    assert {module for module in ours if not _is_in(module, *allowed)} <= {"massager"}


@pytest.mark.parametrize("path", PACKAGE_FILES, ids=_name)
def test_nothing_that_is_installed_imports_tests_or_benchmarks(path: Path) -> None:
    assert not _tops(_imports(path)) & {"tests", "benchmarks"}


@pytest.mark.parametrize("path", _sources("massager/**/*.py"), ids=_name)
def test_beside_an_event_loop_one_file_reads_the_clock(path: Path) -> None:
    imported = _imports(path)
    is_blocking = _name(path).startswith(BLOCKING_CLIENTS) and "asyncio" not in _tops(imported)
    if _name(path) == CLOCK_FILE or is_blocking:
        return
    named = {f"time.{clock}" for clock in CLOCKS}
    assert not imported & named
    nodes = ast.walk(_tree(path))
    assert not {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)} & named


@pytest.mark.parametrize("path", ALL_FILES, ids=_name)
def test_every_file_says_first_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(_tree(path))


def _code_lines(text: str) -> int:
    """Lines with code on them: no blank ones, no comments, no docstrings."""
    tree = ast.parse(text)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    prose: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            prose.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    layout = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    code = {
        line
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in layout
        for line in range(token.start[0], token.end[0] + 1)
    }
    return len(code - prose)


def test_code_is_counted_without_prose() -> None:
    assert _code_lines('"""Doc\nof a module."""\n\n# why\nA = (\n    1,  # one\n)\n') == 3


def test_the_protocol_can_be_read_in_an_hour() -> None:
    files = _sources("firmware_protocol/**/*.py")
    assert sum(_code_lines(path.read_text(encoding="utf-8")) for path in files) < 1000


def _committed() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False, text=True
    )
    if listed.returncode != 0:
        pytest.skip("this is no checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("what", FORBIDDEN_TEXT)
def test_no_committed_file_names_what_belongs_to_one_machine(what: str) -> None:
    pattern = re.compile(FORBIDDEN_TEXT[what])
    found = []
    for path in _committed():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        lines = enumerate(text.splitlines(), 1)
        found += [f"{_name(path)}:{number}" for number, line in lines if pattern.search(line)]
    assert found == []


@pytest.mark.parametrize(
    ("what", "example"),
    [
        ("the host of a package index", "https://files.python" + "hosted.org/x"),
        ("an address of a package index", "pip install --index" + "-url=x"),
        ("a path of somebody's machine", "see /" + "work/notes"),
    ],
)
def test_the_patterns_find_what_they_are_for(what: str, example: str) -> None:
    assert re.search(FORBIDDEN_TEXT[what], example)
