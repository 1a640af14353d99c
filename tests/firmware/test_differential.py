"""The simulated device, the C core and the built firmware do the same under random scripts.

Here a few of them; `make soak` runs 2,000 for each pair.
"""

import pytest

from tests.conformance.backends import BACKENDS, NEEDS, PureDevice
from tests.firmware.differential import differences, script


def pairs(name: str, scripts: int) -> list[object]:
    marks = pytest.mark.needs(*NEEDS[name])
    return [pytest.param(name, seed, id=f"{name}-{seed}", marks=marks) for seed in range(scripts)]


@pytest.mark.parametrize(
    ("name", "seed"),
    [
        *pairs("C core", 150),
        *pairs("C core behind datagrams", 50),
        *pairs("ATmega328P", 12),
    ],
)
def test_the_firmware_does_what_the_simulated_device_does(name: str, seed: int) -> None:
    assert list(differences(seed, BACKENDS["pure device"], BACKENDS[name])) == []


@pytest.mark.needs(*NEEDS["ATmega328P"])
@pytest.mark.parametrize("seed", range(12, 18))
def test_the_chip_does_what_the_core_does_on_this_computer(seed: int) -> None:
    assert list(differences(seed, BACKENDS["C core"], BACKENDS["ATmega328P"])) == []


def test_the_same_seed_is_the_same_script() -> None:
    assert [words for words, _ in script(7)] == [words for words, _ in script(7)]
    assert [words for words, _ in script(7)] != [words for words, _ in script(8)]


class Feetless(PureDevice):
    """It does not see the feet."""

    def set_feet(self, on: bool) -> None:
        pass


def test_two_devices_that_differ_are_told_apart() -> None:
    scripts = [differences(seed, BACKENDS["pure device"], Feetless) for seed in range(20)]
    assert any(list(script) for script in scripts)
