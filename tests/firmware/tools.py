"""What tests of the firmware need to have installed, and what is said where it is missing.

    @pytest.mark.needs("avr", "simavr")

A test whose tools are missing is left out, and the end of the run says so and how to install them.
With CI=true it fails instead. The names are those of `simulator.firmware.build.TOOLS`.
"""

import os
from collections import Counter
from typing import Final

import pytest

from simulator.firmware.build import TOOLS, install_line, listed, missing

_left_out: Final[Counter[str]] = Counter()


def require(*names: str) -> None:
    """Leave the running test out where one of these tools is missing; fail it with CI=true.

    Raises KeyError for a name that is no tool.
    """
    lacking = missing(*(name for name in names if TOOLS[name]))
    if not lacking:
        return
    sentence = f"this needs {listed(lacking)}; on Debian: {install_line(lacking)}"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{sentence}, and CI must not do without", pytrace=False)
    _left_out.update(lacking)
    _left_out["tests"] += 1
    pytest.skip(sentence)


def paragraph(left_out: Counter[str]) -> str:
    """What the end of the run says of tests that were left out; "" where none was."""
    lacking = tuple(name for name in TOOLS if left_out[name])
    if not lacking:
        return ""
    return (
        f"Left out: {left_out['tests']} tests of the firmware, because this computer has not got "
        f"{listed(lacking)}. They run once these are installed; on Debian:\n"
        f"    {install_line(lacking)}"
    )


def left_out() -> str:
    """The paragraph about this run."""
    return paragraph(_left_out)
