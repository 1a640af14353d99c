"""HARDWARE.md is true: what it says of pins and settings is in the firmware, its calculations come
out, and the drawing connects the parts of its list as the text says.
"""

import math
import re
from importlib.util import module_from_spec, spec_from_file_location
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Final
from xml.etree import ElementTree

import pytest

ROOT: Final = Path(__file__).parents[2]
DOCUMENT: Final = (ROOT / "docs" / "HARDWARE.md").read_text(encoding="utf-8")
BOARD: Final = ROOT / "firmware" / "boards" / "atmega328p"
PREFIXES: Final = {"m": 1e-3, "µ": 1e-6, "n": 1e-9, "p": 1e-12, "k": 1e3, "M": 1e6}
UNITS: Final = ("Ω", "F", "A", "V", "Hz", "W", "s", "C")
COMPONENT: Final = re.compile(r"(?:[RCDFQU]|TH)\d+\Z")  # not what is drawn as a mere name


def _drawing() -> ModuleType:
    spec = spec_from_file_location("draw_schematic", ROOT / "docs" / "draw_schematic.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DRAWING: Final = _drawing()
SHEET: Final = DRAWING.draw()


def _table(first_heading: str, text: str = DOCUMENT) -> list[list[str]]:
    """The rows of the table whose heading begins with this cell."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first_heading} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip().strip("|").split("|")])
    return rows


def _number(text: str) -> float:
    """`470 µF` is 0.00047; a unit that is no prefix and base is taken as it stands."""
    found = re.match(r"([\d.]+)(?: (\S+))?", text)
    assert found, text
    value, unit = float(found[1]), found[2] or ""
    prefix = unit[:1] if unit[1:] in UNITS and unit[:1] in PREFIXES else ""
    return value * PREFIXES.get(prefix, 1.0)


def _settings() -> dict[str, str]:
    """The defaults of config.h."""
    text = (BOARD / "config.h").read_text(encoding="utf-8")
    found = re.findall(r"#ifndef (\w+)\n#define \1 (\S+)", text)
    return {name: value.strip("()") for name, value in found}


PARTS: Final = {row[0]: row[2] for row in _table("ref")}
FIGURES: Final = {row[0]: _number(row[1]) for row in _table("figure")}
SETTINGS: Final = _settings()
CALCULATED: Final = {row[0]: row[3] for row in _table("no.")}


def _parallel(first: float, second: float) -> float:
    return first * second / (first + second)


def _calculations() -> dict[str, float]:
    """Each line of the table, from the parts, the figures and the settings, in base units."""
    f = FIGURES
    part = {ref: _number(value) for ref, value in PARTS.items() if re.match(r"\d", value)}
    r1, r2, r3, r4 = (part[f"R{number}"] for number in (1, 2, 3, 4))
    trip = int(SETTINGS["OVER_CURRENT_MA"]) / 1000
    gentlest = int(SETTINGS["GENTLEST_PERMILLE"]) / 1000
    k: dict[str, float] = {}
    k["K1"] = 512 / f["F_CPU"]
    k["K2"] = f["VCC"] / (r1 + f["R_PIN_LOW"])
    k["K3"] = f["QSW"] * (r1 + f["R_PIN_HIGH"]) / (f["VCC"] - f["V_PLATEAU"])
    k["K4"] = f["QSW"] * (r1 + f["R_PIN_HIGH"]) / f["V_PLATEAU"]
    k["K5"] = f["VM"] * trip * (k["K3"] + k["K4"]) / k["K1"] / 2
    k["K6"] = trip**2 * f["RDS_ON"] * f["RDS_HOT"]
    k["K7"] = (k["K5"] + k["K6"]) * f["RTH_Q1"]
    k["K8"] = f["QG"] / k["K1"]
    k["K9"] = part["C9"] * f["VM"] ** 2 / k["K1"] / 2
    k["K10"] = f["VCC"] * r2 / (r2 + r1 + f["R_PIN_HIGH"])
    k["K11"] = f["VM"] * f["CRSS"] / (f["CISS"] + f["CRSS"])
    k["K12"] = f["VF_D1"] * trip * (1 - gentlest)
    k["K13"] = k["K12"] * f["RTH_D1"]
    k["K14"] = f["I_BLOCKED"] / 2
    k["K15"] = f["I_BLOCKED"] / 4 * k["K1"] / part["C1"]
    k["K16"] = trip**2 * r3
    k["K17"] = trip * r3 * f["GAIN"]
    k["K18"] = 1 / (2 * math.pi * r4 * part["C4"])
    k["K19"] = 1.5 * part["F1"]
    k["K20"] = 2.1 * part["F1"]
    k["K21"] = part["C1"] * f["VM"] ** 2 / f["R_LOOP"] / 2
    k["K22"] = f["V_OFFSET"] / r3
    k["K23"] = part["C1"] * f["VM"] / f["I_RUN"]
    k["K24"] = 2 * f["RHO"] / 0.5 * trip
    k["K25"] = f["VCC"] / part["R7"]
    k["K26"] = f["VCC"] * part["R8"] / (part["R8"] + _parallel(part["R7"], f["PULL_UP"]))
    k["K27"] = 60 / (2 * 0.05)
    k["K28"] = 60 / (2 * 0.002)
    return k


RESULTS: Final = _calculations()


# --- calculations -----------------------------------------------------------------------------


@pytest.mark.parametrize("number", CALCULATED)
def test_a_calculation_of_the_document_comes_out(number: str) -> None:
    assert _number(CALCULATED[number]) == pytest.approx(RESULTS[number], rel=0.02)


def test_every_calculation_is_in_the_document() -> None:
    assert list(CALCULATED) == list(RESULTS)


def test_the_values_keep_what_the_text_promises() -> None:
    trip = int(SETTINGS["OVER_CURRENT_MA"]) / 1000
    assert RESULTS["K2"] <= 0.040  # the chip's absolute maximum for a pin
    assert RESULTS["K10"] >= 4.5  # where RDS_ON is specified
    assert RESULTS["K11"] < FIGURES["V_TH"]  # no pulse by itself
    assert RESULTS["K17"] < FIGURES["VCC"] - 0.03  # within what U1 can give
    assert RESULTS["K26"] < 0.3 * FIGURES["VCC"]  # surely low
    assert 1.5 * FIGURES["I_RUN"] <= _number(PARTS["F1"])  # it does not age
    assert FIGURES["I_BLOCKED"] < RESULTS["K19"] < trip < RESULTS["K20"]
    assert int(SETTINGS["HOT_DC"]) / 10 + 10 <= _number(PARTS["F2"])  # the device is first
    assert int(SETTINGS["CURRENT_FULL_SCALE_MA"]) / 1000 == pytest.approx(
        FIGURES["VCC"] / (_number(PARTS["R3"]) * FIGURES["GAIN"])
    )


def test_the_readings_of_the_thermistor_come_out() -> None:
    def reading(celsius: float) -> float:
        ratio = math.exp(3950 * (1 / (celsius + 273.15) - 1 / 298.15))
        resistance = _number(PARTS["TH1"]) * ratio
        return 1024 * resistance / (resistance + _number(PARTS["R5"]))

    rows = {row[0]: int(row[1]) for row in _table("temperature")}
    assert (rows.pop("open"), rows.pop("short")) == (1023, 0)
    told = {float(name.replace("−", "-").removesuffix(" °C")): rows[name] for name in rows}
    edges = {int(SETTINGS[key]) / 10 for key in ("SENSOR_LOW_DC", "HOT_DC", "SENSOR_HIGH_DC")}
    assert set(told) == edges | {25.0}
    assert told == {celsius: round(reading(celsius)) for celsius in told}


# --- the firmware -------------------------------------------------------------------------------


def test_the_settings_of_the_document_are_those_of_the_firmware() -> None:
    assert {row[0].strip("`"): row[1].strip("`") for row in _table("key")} == SETTINGS


@pytest.mark.parametrize(
    ("pin", "file", "evidence"),
    [
        ("D9", "motor.c", ("PORTB1", "OC", "TOP = 511")),
        ("D2", "inputs.c", ("FEET _BV(PIND2)", "feet_are_on = !(pins & FEET)")),
        ("D3", "inputs.c", ("BUTTON _BV(PIND3)", "is_pressed = (pins & BUTTON) != 0")),
        ("D4", "inputs.c", ("MOTION _BV(PIND4)", "MOVING_MS = 50")),
        ("A0", "sensors.c", ("TEMPERATURE = 0",)),
        ("A1", "sensors.c", ("CURRENT = 1",)),
        ("D0, D1", "uart.c", ("UBRR0 = 34",)),
    ],
)
def test_a_pin_of_the_document_is_the_one_of_the_firmware(
    pin: str, file: str, evidence: tuple[str, ...]
) -> None:
    rows = {row[0]: row for row in _table("pin")}
    assert rows[pin][4] == f"`{file}`"
    source = (BOARD / file).read_text(encoding="utf-8")
    assert [words for words in evidence if words not in source] == []


def test_no_pin_is_left_out() -> None:
    assert {row[0] for row in _table("pin")} == {"D9", "D2", "D3", "D4", "A0", "A1", "D0, D1"}


def test_the_variables_that_are_given_to_make_exist() -> None:
    makefile = (ROOT / "firmware" / "Makefile").read_text(encoding="utf-8")
    given = set(re.findall(r"^make .*?$", DOCUMENT, re.MULTILINE))
    names = {name for line in given for name in re.findall(r"\b([A-Z_]+)=", line)}
    assert names == {"DEVICE_ID", "GENTLEST", "PORT", "BAUD"}
    assert sorted(name for name in names if f"$({name})" not in makefile) == []


# --- the drawing --------------------------------------------------------------------------------


def test_the_drawing_is_what_its_program_draws_and_shows_each_part_once() -> None:
    text = (ROOT / "docs" / "schematic.svg").read_text(encoding="utf-8")
    assert text == SHEET.svg(), "run: python docs/draw_schematic.py"
    named = [node.get("id") for node in ElementTree.fromstring(text).iter() if node.get("id")]
    named.remove("title")
    assert sorted(map(str, named)) == sorted(PARTS)


def test_a_value_in_the_drawing_is_that_of_the_parts_list() -> None:
    drawn = {ref: words for ref, words in SHEET.parts.items() if COMPONENT.match(ref)}
    assert len(drawn) >= 28
    assert {ref: words for ref, words in drawn.items() if PARTS[ref] not in words} == {}


def test_the_wires_connect_what_the_text_says() -> None:
    nets = set(SHEET.nets())
    for net in (
        "J1.+ F1.1",
        "F1.2 S1.1",  # the fuse and the off switch come before everything
        "S1.2 D2.K C1.1 C2.1 D1.K R3.1 U1.IN+",
        "R3.2 F2.1 U1.IN-",  # the shunt lies between the flyback diode and the motor
        "F2.2 M1.+ C9.1",
        "M1.- C9.2 D1.A Q1.D",
        "Q1.G R1.2 R2.1",  # the pull-down is at the gate itself
        "U3.D9 R1.1 D9",
        "U1.OUT R4.1",
        "U3.A1 R4.2 C4.1 A1",
        "U3.A0 R6.2 C5.1",
        "R6.1 R5.2 TH1.1",
        "U3.D2 R8.1 C6.1",
        "R8.2 R7.2 S2.1",
        "U3.D3 R10.1 C7.1",
        "R10.2 R9.2 S3.1",
        "U3.D4 R11.2 U2.OUT",
        "+5V U3.5V U1.VS U2.VDD C3.1 C8.1 R5.1 R7.1 R9.1 R11.1",
        "GND J1.- Q1.S R2.2 D2.A C1.2 C2.2 C3.2 C4.2 C5.2 C6.2 C7.2 C8.2 "
        "TH1.2 S2.2 S3.2 U1.GND U2.GND U3.GND",
        "U3.VIN",
        "U3.USB",
    ):
        nets.remove(frozenset(net.split()))
    assert nets == set()


def test_no_wire_ends_in_the_air_and_no_junction_lacks_its_dot() -> None:
    pins = set(SHEET.pins.values())
    ends = [end for line in SHEET.lines for end in line]
    loose = [
        end for end in ends if end not in pins and end not in SHEET.dots and ends.count(end) < 2
    ]
    assert loose == []
    for point in {*ends, *pins} - set(SHEET.dots):
        through = [line for line in SHEET.lines if DRAWING.on(point, line) and point not in line]
        assert through == [], point
        assert ends.count(point) <= 2, point


def test_no_text_lies_over_another_or_outside_of_the_paper() -> None:
    for text in SHEET.texts:
        left, top, right, bottom = text.box()
        inside = left >= 0 and top >= 0 and right <= DRAWING.WIDTH and bottom <= DRAWING.HEIGHT
        assert inside, text.words
    for one, other in combinations(SHEET.texts, 2):
        a, b = one.box(), other.box()
        assert not (a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]), (
            one.words,
            other.words,
        )
