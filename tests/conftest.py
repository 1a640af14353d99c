"""Which event loop a test gets: a virtual clock everywhere, the real one in `tests/e2e`.

`@pytest.mark.asyncio(loop_factories=["real"])` (or "virtual") chooses otherwise.
"""

import asyncio
from collections.abc import Callable

import pytest

from simulator.virtual_time import VirtualLoop

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
