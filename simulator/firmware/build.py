"""Finds what `make -C firmware` builds, building it first, and says plainly what is missing for it.

What is built lies in `firmware/build` of a checkout; an installed package has no firmware.
"""

import ctypes
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from simulator.bearers import CannotStart

_CHECKOUT: Final = Path(__file__).parent.parent.parent
FIRMWARE: Final = Path(os.environ.get("MASSAGER_FIRMWARE") or _CHECKOUT / "firmware")
BUILD: Final = FIRMWARE / "build"
_BUILD_S: Final = 300.0
_CLANGS: Final = ("clang", *(f"clang-{version}" for version in range(30, 11, -1)))
_FUZZ_TARGET: Final = b"""
#include <stddef.h>
#include <stdint.h>
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return size && data[0] ? 0 : 0; }
"""


class CannotBuild(CannotStart):
    """The firmware cannot be built here; the message says what is missing and the way out."""


class Tool(NamedTuple):
    """Something that has to be installed."""

    what: str
    packages: str  # Debian's
    is_here: Callable[[], bool]


def compiler() -> str | None:
    """The C compiler for this computer: $CC, or `cc`."""
    return shutil.which(os.environ.get("CC") or "cc")


def clang() -> str | None:
    """A clang, the newest where its plain name is missing."""
    return next((clang for clang in _CLANGS if shutil.which(clang)), None)


def built(target: str, *needs: str, **variables: str) -> Path:
    """The file `target` below `firmware`, made by make with these `variables`.

    `needs` are keys of TOOLS. Raises CannotBuild.
    """
    if not (FIRMWARE / "Makefile").is_file():
        raise CannotBuild("the firmware is part of a checkout of the sources, and this is none")
    lacking = missing("cc", *needs)
    if lacking:
        raise CannotBuild(
            f"the firmware needs {listed(lacking)}; on Debian: {install_line(lacking)}"
        )
    settings = [f"{name}={value}" for name, value in variables.items()]
    return _made(target, *settings)


def host_library() -> Path:
    """The core as a library for this computer; with MASSAGER_SANITIZED=1 the one that watches
    itself, for which Python has to be started as tests/firmware/test_sanitized.py does.

    Raises CannotBuild.
    """
    if os.environ.get("MASSAGER_SANITIZED") == "1":
        return built("build/host/libmassager-sanitized.so", "sanitizers")
    return built("build/host/libmassager.so")


def esphome() -> Path:
    """The command `esphome`, in an environment of its own, fetched where it is not there yet.

    Raises CannotBuild.
    """
    return _made("build/esphome-venv/.ready", f"PYTHON={sys.executable}").parent / "bin" / "esphome"


def missing(*names: str) -> tuple[str, ...]:
    """Those of TOOLS that are not here."""
    return tuple(name for name in TOOLS if name in names and not _is_here(name))


def listed(names: tuple[str, ...]) -> str:
    """What they are, for a sentence."""
    whats = [TOOLS[name].what for name in names]
    return " and ".join([", ".join(whats[:-1]), whats[-1]] if len(whats) > 1 else whats)


def install_line(names: tuple[str, ...]) -> str:
    """The command that installs them on Debian."""
    packages = dict.fromkeys(" ".join(TOOLS[name].packages for name in names).split())
    return f"apt-get install {' '.join(packages)}"


@cache
def _made(target: str, *settings: str) -> Path:
    if shutil.which("make") is None:
        raise CannotBuild("the firmware needs make; on Debian: apt-get install make")
    BUILD.mkdir(exist_ok=True)
    command = ["make", "--silent", "--no-print-directory", "-C", str(FIRMWARE), target, *settings]
    with (BUILD / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be building the same
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_BUILD_S,
            check=False,
            env=_environment(),
        )
    if done.returncode != 0 or not (FIRMWARE / target).is_file():
        raise CannotBuild(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return FIRMWARE / target


def _environment() -> dict[str, str]:
    """Without what a surrounding make hands down, such as its job server, and without what only
    Python is to be started with."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MAKE") and name != "LD_PRELOAD"
    }


@cache
def _is_here(name: str) -> bool:
    return TOOLS[name].is_here()


def _compiles(compiler: str | None, *options: str, source: bytes, language: str = "c") -> bool:
    if compiler is None:
        return False
    command = [compiler, "-x", language, *options, "-o", os.devnull, "-"]
    done = subprocess.run(
        command, input=source, capture_output=True, check=False, env=_environment()
    )
    return done.returncode == 0


def _has_cc() -> bool:
    return shutil.which("make") is not None and _compiles(
        compiler(), source=b"int main(void){return 0;}"
    )


def _has_cxx() -> bool:
    compiler = shutil.which(os.environ.get("CXX") or "c++")
    return _compiles(
        compiler, "-std=c++20", language="c++", source=b"#include <atomic>\nint main() {}"
    )


def _has_esphome() -> bool:
    try:
        esphome()
    except CannotBuild:
        return False
    return True


def _has_sanitizers() -> bool:
    options = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    return _compiles(compiler(), *options, source=b"int main(void){return 0;}")


def _has_clang() -> bool:
    return _compiles(clang(), "-fsanitize=fuzzer,address,undefined", source=_FUZZ_TARGET)


def _has_avr() -> bool:
    source = b"#include <avr/io.h>\nint main(void){PORTB = 0;}"
    return _compiles(shutil.which("avr-gcc"), "-mmcu=atmega328p", source=source)


def simavr_headers() -> Path | None:
    """The folder with simavr's headers: installed, or only unpacked into `firmware/build`."""
    folders = (Path("/usr/include/simavr"), BUILD / "simavr" / "usr" / "include" / "simavr")
    return next((folder for folder in folders if (folder / "sim_avr.h").is_file()), None)


def _has_simavr() -> bool:
    try:
        ctypes.CDLL("libsimavr.so.2")
    except OSError:
        return False
    return simavr_headers() is not None


TOOLS: Final = {
    "cc": Tool("a C compiler with make", "gcc libc6-dev make", _has_cc),
    "cxx": Tool("a C++ compiler", "g++", _has_cxx),
    "sanitizers": Tool("the sanitizers of the C compiler", "gcc libc6-dev", _has_sanitizers),
    "clang": Tool("clang with libFuzzer", "clang libclang-rt-dev", _has_clang),
    "avr": Tool("avr-gcc with avr-libc", "gcc-avr avr-libc binutils-avr", _has_avr),
    "simavr": Tool("simavr", "libsimavr-dev libelf1", _has_simavr),
    "esphome": Tool(
        "ESPHome, which `make esphome` fetches from the package index",
        "make python3-venv",
        _has_esphome,
    ),
}
