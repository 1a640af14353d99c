"""Which event loop a test gets: a virtual clock everywhere, the real one in `tests/e2e`.

`@pytest.mark.asyncio(loop_factories=["real"])` (or "virtual") chooses otherwise.

And which tests are left out where tools for the firmware are missing: `tests/firmware/tools.py`.
"""

import asyncio
from collections.abc import Callable

import pytest

from simulator.virtual_time import VirtualLoop
from tests.firmware import tools

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, LoopFactory]:
    """The hook of pytest-asyncio; a single factory leaves the test's name as it is."""
    factories: dict[str, LoopFactory] = {
        "virtual": VirtualLoop,
        "real": asyncio.SelectorEventLoop,
    }
    marker = item.get_closest_marker("asyncio")
    if marker is not None and "loop_factories" in marker.kwargs:
        return factories
    name = "real" if "e2e" in item.path.parts else "virtual"
    return {name: factories[name]}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture: `needs` names what has to be installed."""
    tools.require(item, *(name for marker in item.iter_markers("needs") for name in marker.args))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The last word of a run that left something out."""
    left_out = tools.left_out(terminalreporter.stats.get("skipped", []))
    if left_out:
        terminalreporter.write_line(f"\n{left_out}\n", yellow=True)
