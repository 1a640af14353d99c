"""The thermistor's table against its formula, from the same C file that the chip runs."""

import ctypes
import math
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.firmware import build
from simulator.firmware.build import FIRMWARE

pytestmark = pytest.mark.needs("cc")

READINGS = 5
FULL_SCALE = 1024
TOO_COLD, TOO_HOT = -400, 1400


@pytest.fixture(scope="module")
def thermistor_dc(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], int]:
    library = tmp_path_factory.mktemp("thermistor") / "thermistor.so"
    source: Path = FIRMWARE / "boards" / "atmega328p" / "thermistor.c"
    compiler = build.compiler()
    assert compiler is not None
    options = ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-shared", "-fPIC", "-o")
    subprocess.run([compiler, *options, library, source], check=True)
    function = ctypes.CDLL(str(library)).thermistor_dc
    function.argtypes = [ctypes.c_uint16]
    function.restype = ctypes.c_int16
    return lambda total: int(function(total))


def _reading(celsius: float) -> float:
    """What the converter sees: 10 kΩ at 25 °C and B = 3950 to ground, 10 kΩ to the supply."""
    kilohms = 10 * math.exp(3950 * (1 / (celsius + 273.15) - 1 / 298.15))
    return FULL_SCALE * kilohms / (kilohms + 10)


def test_every_tenth_of_a_degree_comes_out_within_a_tenth_and_what_the_rounding_costs(
    thermistor_dc: Callable[[int], int],
) -> None:
    for dc in range(-245, 1246):
        total = round(READINGS * _reading(dc / 10))
        one_step = abs(READINGS * (_reading(dc / 10 + 0.05) - _reading(dc / 10 - 0.05)))
        rounding = 0.5 / one_step  # 0.1 °C for half a step of the sum
        assert abs(thermistor_dc(total) - dc) <= 1 + 1 + rounding, dc


def test_around_the_limit_of_70_degrees_it_is_right_to_a_tenth(
    thermistor_dc: Callable[[int], int],
) -> None:
    for dc in range(600, 801):
        assert abs(thermistor_dc(round(READINGS * _reading(dc / 10))) - dc) <= 1, dc


def test_a_warmer_thermistor_never_reads_colder(thermistor_dc: Callable[[int], int]) -> None:
    told = [thermistor_dc(total) for total in range(READINGS * 1023, -1, -1)]
    assert told == sorted(told)


def test_an_open_and_a_shorted_wire_are_no_temperature(
    thermistor_dc: Callable[[int], int],
) -> None:
    assert thermistor_dc(READINGS * 1023) == TOO_COLD
    assert thermistor_dc(0) == TOO_HOT
    assert thermistor_dc(round(READINGS * _reading(-26))) == TOO_COLD
    assert thermistor_dc(round(READINGS * _reading(126))) == TOO_HOT
