"""The fixtures of the conformance tests: every test runs against every backend."""

from collections.abc import Callable

import pytest

from tests.conformance.backends import BACKENDS, NEEDS, Backend, Build
from tests.conformance.rig import Rig


@pytest.fixture(
    params=[
        pytest.param(backend, id=name, marks=pytest.mark.needs(*NEEDS.get(name, ())))
        for name, backend in BACKENDS.items()
    ]
)
def build(request: pytest.FixtureRequest) -> Callable[[Build], Rig]:
    """Builds a device to measure, for tests that need a special one."""
    backend: Callable[[Build], Backend] = request.param
    return lambda wanted: Rig(backend(wanted))


@pytest.fixture
def device(build: Callable[[Build], Rig]) -> Rig:
    """The usual device: gentlest 150 ‰, max 1000 ‰, a feet sensor with the feet on, boot 1."""
    return build(Build())
