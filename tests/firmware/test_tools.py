"""A run without the firmware's tools says what it left out; a run in CI does not do without."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from simulator.firmware import build
from simulator.firmware.build import TOOLS, Tool
from tests.firmware.tools import paragraph, require

ROOT = Path(__file__).parent.parent.parent
WITHOUT_TOOLS = """
import pytest
from simulator.firmware import build
from simulator.firmware.build import TOOLS, Tool

TOOLS["avr"] = Tool("avr-gcc", "gcc-avr", lambda: False)

@pytest.mark.needs("avr")
def test_that_needs_a_tool():
    raise AssertionError("it ran")

def test_that_needs_none():
    pass
"""


def run_without_tools(folder: Path, ci: str) -> tuple[int, str]:
    """Exit code and output of a small run in which avr-gcc is missing."""
    file = folder / "test_small.py"
    file.write_text(WITHOUT_TOOLS, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "tests.conftest"]
    done = subprocess.run(
        [*command, "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), str(file)],
        cwd=ROOT,
        env={"CI": ci, "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_run_without_the_tools_passes_and_says_what_was_left_out(tmp_path: Path) -> None:
    code, output = run_without_tools(tmp_path, ci="")
    assert (code, "1 passed, 1 skipped" in output) == (0, True), output
    assert "Left out: 1 tests of the firmware" in output
    assert "apt-get install gcc-avr\n" in output


def test_a_run_in_ci_fails_where_a_tool_is_missing(tmp_path: Path) -> None:
    code, output = run_without_tools(tmp_path, ci="true")
    assert (code, "1 passed, 1 error" in output) == (1, True), output
    assert "apt-get install gcc-avr, and CI must not do without" in output


def test_the_paragraph_names_every_missing_tool_and_each_package_once() -> None:
    text = paragraph(Counter({"tests": 12, "cc": 5, "sanitizers": 1, "avr": 7}))
    assert "12 tests" in text
    assert (
        "a C compiler with make, the sanitizers of the C compiler and avr-gcc with avr-libc" in text
    )
    assert "    apt-get install gcc libc6-dev make gcc-avr avr-libc binutils-avr" in text


def test_a_run_that_left_nothing_out_says_nothing() -> None:
    assert paragraph(Counter()) == ""


def test_a_tool_that_nobody_knows_is_an_error(request: pytest.FixtureRequest) -> None:
    with pytest.raises(KeyError, match="nonsense"):
        require(request.node, "nonsense")


def test_a_computer_without_any_tool_is_told_what_each_needs() -> None:
    """`massager-simulator --firmware` says the same sentence."""
    code = "from simulator.firmware.build import *; host_library()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={"PATH": ""}, capture_output=True, text=True
    )
    assert done.stderr.splitlines()[-1] == (
        "simulator.firmware.build.CannotBuild: the firmware needs a C compiler with make; "
        "on Debian: apt-get install gcc libc6-dev make"
    )
    code = "from simulator.firmware.build import *; print(missing(*TOOLS))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={"PATH": ""}, capture_output=True, text=True
    )
    assert "'cc', " in done.stdout, done.stderr
    assert "'avr', " in done.stdout


@pytest.mark.parametrize("name", TOOLS)
def test_every_tool_says_what_it_is_and_where_it_comes_from(name: str) -> None:
    assert isinstance(TOOLS[name], Tool)
    assert build.install_line((name,)).startswith("apt-get install ")
