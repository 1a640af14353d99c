"""The boot id's two slots in an EEPROM whose power goes away between any two bytes, and within one.

The chip's own C file is compiled for this computer, with an EEPROM made of an array.
"""

import ctypes
import subprocess
from pathlib import Path
from typing import Final

import pytest

from simulator.firmware import build
from simulator.firmware.build import FIRMWARE

pytestmark = pytest.mark.needs("cc")

SLOT_BYTES: Final = 4
CUT, BITTEN = -1, -2
_EEPROM_H: Final = """
#include <stdint.h>
uint16_t eeprom_read_word(const uint16_t *at);
void eeprom_update_word(uint16_t *at, uint16_t value);
static inline void eeprom_busy_wait(void) {}
"""
_EEPROM_C: Final = """
#include <setjmp.h>
#include <stdint.h>
#include "boot_id.h"
#include "watchdog.h"
uint8_t cells[8];
int writes, cut_after, garbage, worn_cell, high_first;
static jmp_buf out;
static void put(uintptr_t at, uint8_t value)
{
    if (cells[at] == value) return;
    if (writes++ == cut_after) {
        if (garbage >= 0) cells[at] = (uint8_t)garbage;
        longjmp(out, 1);
    }
    if ((int)at != worn_cell) cells[at] = value;
}
uint16_t eeprom_read_word(const uint16_t *at)
{
    return (uint16_t)(cells[(uintptr_t)at] | cells[(uintptr_t)at + 1] << 8);
}
void eeprom_update_word(uint16_t *at, uint16_t value)
{
    for (int i = 0; i < 2; i++) {
        int byte = high_first ? 1 - i : i;
        put((uintptr_t)at + byte, (uint8_t)(value >> 8 * byte));
    }
}
void watchdog_bite(void) { longjmp(out, 2); }
int boot(int cut, int rubbish)
{
    writes = 0, cut_after = cut, garbage = rubbish;
    int left = setjmp(out);
    return left ? -left : boot_id_next();
}
"""


class Eeprom:
    """Eight cells, and the program that boots from them."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._cells = (ctypes.c_uint8 * 8).in_dll(library, "cells")
        self.fill(b"\xff" * 8)
        self.set(worn_cell=-1, high_first=0)

    def fill(self, cells: bytes) -> None:
        ctypes.memmove(self._cells, cells, len(cells))

    def cells(self) -> bytes:
        return bytes(self._cells)

    def set(self, **values: int) -> None:
        for name, value in values.items():
            ctypes.c_int.in_dll(self._library, name).value = value

    def boot(self, cut_after: int = -1, garbage: int = -1) -> int:
        """The boot id; CUT where the power went after so many bytes, BITTEN where it gave up."""
        return int(self._library.boot(cut_after, garbage))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder: Path = tmp_path_factory.mktemp("boot_id")
    (folder / "avr").mkdir()
    (folder / "avr" / "eeprom.h").write_text(_EEPROM_H)
    (folder / "eeprom.c").write_text(_EEPROM_C)
    board = FIRMWARE / "boards" / "atmega328p"
    compiler = build.compiler()
    assert compiler is not None
    command = [compiler, "-std=c11", "-Wall", "-shared", "-fPIC", f"-I{folder}", f"-I{board}"]
    sources = [str(folder / "eeprom.c"), str(board / "boot_id.c")]
    subprocess.run([*command, "-o", str(folder / "boot_id.so"), *sources], check=True)
    return ctypes.CDLL(str(folder / "boot_id.so"))


@pytest.fixture(params=[0, 1], ids=["low-byte-first", "high-byte-first"])
def eeprom(library: ctypes.CDLL, request: pytest.FixtureRequest) -> Eeprom:
    eeprom = Eeprom(library)
    eeprom.set(high_first=request.param)
    return eeprom


def _slot(boot_id: int) -> bytes:
    return boot_id.to_bytes(2, "little") + (boot_id ^ 0xFFFF).to_bytes(2, "little")


def test_an_erased_chip_counts_from_1(eeprom: Eeprom) -> None:
    assert [eeprom.boot() for _ in range(600)] == list(range(1, 601))


def test_the_slots_take_turns_at_addresses_0_and_4(eeprom: Eeprom) -> None:
    eeprom.boot()
    assert eeprom.cells() == _slot(1) + b"\xff" * SLOT_BYTES
    eeprom.boot()
    assert eeprom.cells() == _slot(1) + _slot(2)
    eeprom.boot()
    assert eeprom.cells() == _slot(3) + _slot(2)


@pytest.mark.parametrize(("first", "second"), [(65534, 65535), (65535, 65534)])
def test_after_65535_comes_1_and_then_2(eeprom: Eeprom, first: int, second: int) -> None:
    eeprom.fill(_slot(first) + _slot(second))
    assert [eeprom.boot() for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("garbage", [-1, 0x00, 0xFF, 0x5A])
@pytest.mark.parametrize("start", [0, 1, 2, 0xFE, 0xFF, 0x100, 0x1FF, 65534, 65535])
def test_power_that_goes_away_within_a_write_loses_no_boot(
    eeprom: Eeprom, start: int, garbage: int
) -> None:
    before = b"\xff" * 8 if start == 0 else _slot((start - 2) % 65535 + 1) + _slot(start)
    following = start % 65535 + 1
    for cut_after in range(4):
        eeprom.fill(before)
        if eeprom.boot(cut_after, garbage) == CUT:
            # Nobody has seen the boot that was cut: it gave nothing away yet.
            assert eeprom.boot() in (following, following % 65535 + 1)


def test_power_that_goes_away_again_and_again_loses_no_boot(eeprom: Eeprom) -> None:
    last = 0
    for round_ in range(300):
        for cut_after in (round_ % 4, (round_ // 4) % 4):
            eeprom.boot(cut_after, garbage=round_ % 256)
        boot_id = eeprom.boot()
        assert boot_id > last
        last = boot_id


def test_zero_and_all_ones_are_no_boot_ids(eeprom: Eeprom) -> None:
    eeprom.fill(_slot(0) + _slot(7))
    assert eeprom.boot() == 8
    eeprom.fill(b"\x00" * 8)
    assert eeprom.boot() == 1


@pytest.mark.parametrize("cell", range(4))
def test_a_worn_out_cell_ends_in_a_reset_and_not_in_an_old_boot_id(
    eeprom: Eeprom, cell: int
) -> None:
    eeprom.fill(_slot(0x0101) + _slot(0x0202))
    eeprom.set(worn_cell=cell)
    assert eeprom.boot() == BITTEN
