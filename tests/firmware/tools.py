"""What tests of the firmware need to have installed, and what is said where it is missing.

    @pytest.mark.needs("avr", "simavr")

A test whose tools are missing is left out, and the end of the run says so and how to install them.
With CI=true it fails instead. The names are those of `simulator.firmware.build.TOOLS`.
"""

import os
from collections import Counter
from collections.abc import Iterable
from typing import Final

import pytest

from simulator.firmware.build import TOOLS, install_line, listed, missing

_PROPERTY: Final = "left out for"  # of a test's report, which may come from another process


def require(item: pytest.Item, *names: str) -> None:
    """Leave this test out where one of these tools is missing; fail it with CI=true.

    Raises KeyError for a name that is no tool.
    """
    lacking = missing(*(name for name in names if TOOLS[name]))
    if not lacking:
        return
    sentence = f"this needs {listed(lacking)}; on Debian: {install_line(lacking)}"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{sentence}, and CI must not do without", pytrace=False)
    item.user_properties.append((_PROPERTY, " ".join(lacking)))
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


def left_out(skipped: Iterable[pytest.TestReport]) -> str:
    """The paragraph about the tests of a run that were skipped."""
    counted: Counter[str] = Counter()
    for report in skipped:
        for name, lacking in report.user_properties:
            if name == _PROPERTY:
                counted.update(["tests", *str(lacking).split()])
    return paragraph(counted)
