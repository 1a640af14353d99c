"""The ATmega328P's program fits its budget in every variant and compiles without a warning."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.firmware import build
from simulator.firmware.build import FIRMWARE

FLASH_MAX = 8 * 1024
STATIC_RAM_MAX = 512
FRAME_MAX = 96
VARIANTS = {
    "default": "",
    "long-id": "-DDEVICE_ID='\"12345678\"'",
    "short-range": "-DGENTLEST_PERMILLE=200 -DMAX_PERMILLE=600",
    "no-feet-sensor": "-DHAS_FEET_SENSOR=0",
    "no-button": "-DHAS_BUTTON=0",
    "no-motion": "-DHAS_MOTION=0",
    "no-temperature": "-DHAS_TEMPERATURE=0",
    "no-current": "-DHAS_CURRENT=0",
    "nothing": " ".join(
        f"-DHAS_{name}=0" for name in ("FEET_SENSOR", "BUTTON", "MOTION", "TEMPERATURE", "CURRENT")
    ),
}
CORE = sorted((FIRMWARE / "core").glob("*.c"))
avr = pytest.mark.needs("cc", "avr")


def _program(variant: str) -> Path:
    """Built with -Werror, so a warning raises CannotBuild; apart from what a maker has built."""
    out = f"build/budget/{variant}"
    return build.built(f"{out}/massager.elf", "avr", OUT=out, DEFINES=VARIANTS[variant])


def _output(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _make(*words: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "-s", "--no-print-directory", "-C", str(FIRMWARE), *words]
    environment = {name: text for name, text in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def _sections(program: Path) -> dict[str, int]:
    lines = _output("avr-size", "-A", program).splitlines()
    return {
        words[0]: int(words[1])
        for words in map(str.split, lines)
        if len(words) == 3 and words[0].startswith(".")
    }


@avr
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_program_fits_8_kb_of_flash_and_512_bytes_of_ram(variant: str) -> None:
    sections = _sections(_program(variant))
    assert sections[".text"] + sections[".data"] <= FLASH_MAX
    ram = sum(sections.get(name, 0) for name in (".data", ".bss", ".noinit"))
    assert ram <= STATIC_RAM_MAX


@avr
def test_no_section_lies_in_the_chip_that_the_budget_does_not_count() -> None:
    loaded = {
        name for name in _sections(_program("default")) if not name.startswith((".debug", ".stab"))
    }
    assert loaded <= {".text", ".data", ".bss", ".noinit", ".comment", ".note.gnu.avr.deviceinfo"}


@avr
@pytest.mark.parametrize("variant", VARIANTS)
def test_no_function_takes_more_than_96_bytes_of_stack(variant: str) -> None:
    program = _program(variant)
    frames = {
        words[0]: (int(words[1]), words[2])
        for path in program.parent.glob("*.su")
        for words in (line.split("\t") for line in path.read_text().splitlines())
    }
    counted = {name.split(":")[0] for name in frames}
    sources = {path.name for path in (*CORE, *(FIRMWARE / "boards/atmega328p").glob("*.c"))}
    assert sources - counted == {"reset.c"}  # only what runs before there is a stack
    assert {name: size for name, (size, _) in frames.items() if size > FRAME_MAX} == {}
    assert {name for name, (_, kind) in frames.items() if kind != "static"} == set()


@avr
def test_the_size_table_shows_what_was_measured() -> None:
    sections = _sections(_program("default"))
    table = _make("size", "OUT=build/budget/default").stdout
    numbers = dict(re.findall(r"^(.+?) {2,}(\d+)", table, re.MULTILINE))
    static_ram = sections[".data"] + sections[".bss"] + sections[".noinit"]
    assert numbers["flash: the budget"] == str(sections[".text"] + sections[".data"])
    assert numbers["static RAM: the budget"] == str(static_ram)
    assert numbers["left for the stack"] == str(2048 - static_ram)


@avr
def test_a_setting_that_cannot_be_stops_the_build() -> None:
    for wrong in (
        "-DDEVICE_ID='\"123456789\"'",
        "-DDEVICE_ID='\"\"'",
        "-DGENTLEST_PERMILLE=0",
        "-DGENTLEST_PERMILLE=1000",
        "-DMAX_PERMILLE=1001",
        "-DSPIN_DOWN_MS=501",
        "-DHOT_DC=1201",
        "-DSENSOR_LOW_DC=-251",
    ):
        with pytest.raises(build.CannotBuild, match="static assertion failed"):
            build.built("build/budget/wrong/main.o", "avr", OUT="build/budget/wrong", DEFINES=wrong)


@avr
@pytest.mark.parametrize("wrong", ["123456789", "a b", "ü", 'x"y', "a.b"])
def test_a_device_id_that_the_wire_cannot_carry_stops_the_build(wrong: str) -> None:
    with pytest.raises(build.CannotBuild, match="DEVICE_ID is 1 to 8 characters"):
        build.built("hex", "avr", OUT="build/budget/wrong", DEVICE_ID=wrong)


@avr
@pytest.mark.parametrize(
    ("words", "options"),
    [
        ({"GENTLEST": "180", "MAX": "600"}, ("-DGENTLEST_PERMILLE=180", "-DMAX_PERMILLE=600")),
        ({"GENTLEST_PERMILLE": "180", "SENSOR_LOW_DC": "-100"}, ("=180", "-DSENSOR_LOW_DC=-100")),
        ({"HAS_MOTION": "0", "DEFINES": "-DHOT_DC=600"}, ("-DHAS_MOTION=0", "-DHOT_DC=600")),
        ({"DEVICE_ID": "bed-0004"}, ('-DDEVICE_ID="bed-0004"',)),
    ],
)
def test_a_setting_that_is_given_by_its_name_reaches_the_compiler(
    words: dict[str, str], options: tuple[str, ...]
) -> None:
    out = "build/budget/named"
    build.built(f"{out}/massager.elf", "avr", OUT=out, **words)
    settings = (FIRMWARE / out / "settings").read_text()
    assert [option for option in options if option not in settings] == []


@avr
def test_another_setting_compiles_anew_and_the_same_does_not() -> None:
    out = "build/budget/settings"
    program = build.built(f"{out}/massager.elf", "avr", OUT=out, DEVICE_ID="bed-0002")
    assert b"bed-0002" in program.read_bytes()
    made = program.stat().st_mtime_ns
    assert _make(f"{out}/massager.elf", f"OUT={out}", "DEVICE_ID=bed-0002").returncode == 0
    assert program.stat().st_mtime_ns == made
    assert _make(f"{out}/massager.elf", f"OUT={out}", "DEVICE_ID=bed-0003").returncode == 0
    assert b"bed-0003" in program.read_bytes()


@pytest.mark.needs("cc")
def test_without_the_compiler_one_sentence_says_what_to_install() -> None:
    done = _make("hex", "AVR=nobody-has-this-")
    assert done.returncode != 0
    assert "apt-get install gcc-avr avr-libc binutils-avr" in done.stderr.splitlines()[0]


@pytest.mark.parametrize(
    "find",
    [
        pytest.param(build.compiler, marks=pytest.mark.needs("cc")),
        pytest.param(build.clang, marks=pytest.mark.needs("clang")),
    ],
    ids=["cc", "clang"],
)
def test_the_core_compiles_without_a_warning_on_this_computer(
    find: Callable[[], str | None],
) -> None:
    compiler = find()
    assert compiler is not None
    warnings = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wpedantic", "-Werror")
    command = [compiler, "-std=c11", *warnings, "-fsyntax-only", *map(str, CORE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@avr
def test_the_chip_sleeps_in_the_instruction_that_follows_the_letting_in_of_interrupts() -> None:
    """Otherwise one that comes in between would be slept over."""
    code = _output("avr-objdump", "-d", "--no-show-raw-insn", _program("default"))
    names = re.findall(r"^ +[0-9a-f]+:\t(\w+)", code, re.MULTILINE)
    before = [names[at - 1] for at, name in enumerate(names) if name == "sleep"]
    assert before == ["sei"]


@avr
def test_the_motor_pin_is_low_before_memory_is_set_up() -> None:
    """Right behind the instructions that make a stack: PORTB1 cleared, then the pin an output."""
    code = _output("avr-objdump", "-d", "--no-show-raw-insn", _program("default"))
    start = code.split("<__ctors_end>:")[1].split("<__do_copy_data>:")[0]
    low, output = start.index("cbi\t0x05, 1"), start.index("sbi\t0x04, 1")
    assert low < output
    assert len(re.findall(r"^ +[0-9a-f]+:\t", start[:output], re.MULTILINE)) <= 12
