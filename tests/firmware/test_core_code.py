"""What the code of the C core keeps to: one place that drives, nothing that small chips lack."""

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from simulator.firmware.build import FIRMWARE, clang, compiler

CORE: Final = sorted((FIRMWARE / "core").glob("*.[ch]"))
ON_THE_CHIP: Final = [*CORE, *sorted((FIRMWARE / "boards" / "atmega328p").glob("*.[ch]"))]
WARNINGS: Final = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wvla", "-Werror", "-pedantic")


def code(path: Path) -> str:
    """Without comments and texts."""
    text = re.sub(r"/\*.*?\*/", " ", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r'"(?:\\.|[^"\\])*"', '""', text)


def found(pattern: str, paths: list[Path]) -> list[str]:
    return [
        f"{path.name}: {match[0]}" for path in paths for match in re.finditer(pattern, code(path))
    ]


def test_the_motor_gets_its_output_from_one_line() -> None:
    assert found(r"->drive\b", CORE) == ["gate.c: ->drive"]
    assert found(r"(?:now|now\.|now->|device->now\.)\boutput\s*(?:[-+*/]?=)(?!=)", CORE) == [
        "gate.c: device->now.output ="
    ]


@pytest.mark.parametrize("path", ON_THE_CHIP, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_nothing_is_allocated_and_no_number_is_broken_or_wider_than_32_bits(path: Path) -> None:
    assert found(r"\b(?:float|double|u?int64_t|long\s+long|\w*alloca?|free|goto)\b", [path]) == []
    assert found(r"\b\d+[lL][lL]|\b\d+\.\d+\b", [path]) == []


def test_every_number_of_the_protocol_says_that_it_is_unsigned() -> None:
    rows = re.findall(
        r"^#define MASSAGER_(\w+) +(\S+)", code(FIRMWARE / "core" / "protocol.h"), re.M
    )
    signed = [name for name, value in rows if not re.fullmatch(r"(?:0x[0-9A-F]+|\d+)ul?", value)]
    assert signed == ["TEMPERATURE_NOT_MEASURED"]


def objects_of_the_core(by: str, folder: Path) -> list[Path]:
    built = []
    for source in (path for path in CORE if path.suffix == ".c"):
        built.append(folder / f"{source.stem}.o")
        command = [by, "-std=c11", "-O2", *WARNINGS, "-c", "-o", str(built[-1]), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    return built


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("cc", marks=pytest.mark.needs("cc")),
        pytest.param("clang", marks=pytest.mark.needs("cc", "clang")),
    ],
)
def test_the_core_compiles_without_a_warning_and_needs_two_functions(
    name: str, tmp_path: Path
) -> None:
    by = compiler() if name == "cc" else clang()
    assert by is not None
    whole = tmp_path / "core.o"
    objects = map(str, objects_of_the_core(by, tmp_path))
    subprocess.run([by, "-nostdlib", "-r", "-o", str(whole), *objects], check=True)
    told = subprocess.run(["nm", "-u", str(whole)], capture_output=True, text=True, check=True)
    needed = set(told.stdout.split()) - {"U", "_GLOBAL_OFFSET_TABLE_"}
    assert needed <= {"memcpy", "memset"}


@pytest.mark.needs("cc")
def test_the_core_keeps_nothing_outside_of_its_struct(tmp_path: Path) -> None:
    """Two devices in one program, such as two boards on one bus, know nothing of each other."""
    objects = map(str, objects_of_the_core(str(compiler()), tmp_path))
    told = subprocess.run(["nm", *objects], capture_output=True, text=True, check=True)
    assert re.findall(r"^[0-9a-f]+ ([bBdDcC]) (\w+)$", told.stdout, re.MULTILINE) == []
