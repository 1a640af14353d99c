"""The emulated ATmega328P of firmware/emulator/chip.c, in Python's types. It adds no behaviour.

A chip runs when it is told to, on its own clock: 16,000 cycles are a millisecond.
"""

import ctypes
from collections.abc import Iterator
from ctypes import POINTER, byref, c_bool, c_char, c_uint8, c_uint16, c_uint32, c_uint64
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from functools import cache
from pathlib import Path
from struct import calcsize, iter_unpack, unpack_from
from typing import Final

from simulator.device import TraceRow
from simulator.firmware.build import built
from simulator.firmware.core import Now, Recorder, Trace

CYCLES_PER_MS: Final = 16_000
EEPROM_BYTES: Final = 1024
PAINT: Final = 0xC5  # what memory holds after a reset until the program writes to it
_RAM: Final = 0x100
_RAM_END: Final = 0x900
_TAKE_BYTES: Final = 4096


class Halt(IntFlag):
    """Why `run` came back before its cycle."""

    NOTHING = 0
    STEP = 1  # as many milliseconds as `stop_after_steps` said; the tick is frozen
    FRAME = 2  # the chip has sent the last byte of a frame
    QUIET = 4  # it sleeps, and nothing is on the line
    RESET = 8  # it was reset by itself and has not run since; always looked for
    CRASH = 16  # it left its program; always looked for


class Hang(IntEnum):
    """Ways to lose the program."""

    LOOP = 0  # the main loop is gone, interrupts go on
    DEAF = 1  # the same with interrupts off
    TICK = 2  # the main loop goes on, the tick has stopped


class Level(IntEnum):
    """What is at a pin that the chip reads."""

    LOW = 0
    HIGH = 1
    OPEN = 2  # a wire that ends nowhere: the pull-up's level


class ResetFlag(IntFlag):
    """The bits of MCUSR."""

    POWER_ON = 1
    EXTERNAL = 2
    BROWN_OUT = 4
    WATCHDOG = 8


class Pin(ctypes.Structure):
    """The motor's pin since `watch_pin`: struct chip_pin. Times in cycles."""

    high: int
    period: int
    longest_high: int
    rises: int
    level: int
    on_timer: int
    is_known: int
    _fields_ = (
        ("high", c_uint64),
        ("period", c_uint64),
        ("longest_high", c_uint64),
        ("rises", c_uint64),
        ("level", c_uint8),
        ("on_timer", c_uint8),
        ("is_known", c_uint8),
    )


@dataclass(frozen=True)
class Program:
    """What goes into the chip, from an ELF file."""

    flash: bytes
    symbols: dict[str, int]  # data addresses as the program sees them

    def initial(self, symbol: str, size: int) -> bytes:
        """What start-up code puts there."""
        begin = self.symbols["__data_load_start"] + self.symbols[symbol] - _RAM
        return self.flash[begin : begin + size]

    @classmethod
    def load(cls, path: Path) -> "Program":
        """Raises OSError, and ValueError for a file that is no AVR program."""
        elf = path.read_bytes()
        if elf[:6] != b"\x7fELF\x01\x01" or unpack_from("<H", elf, 18)[0] != 83:
            raise ValueError(f"{path} is no program for an AVR chip")
        flash = bytearray()
        for kind, offset, _, address, size in _table(elf, 28, 42, "<5I"):
            if kind == 1 and size:
                flash += b"\xff" * (address + size - len(flash))
                flash[address : address + size] = elf[offset : offset + size]
        sections = list(_table(elf, 32, 46, "<10I"))
        symbols: dict[str, int] = {}
        for _, kind, _, _, offset, size, link, *_ in sections:
            if kind == 2:
                names = sections[link][4]
                for name, value, *_ in iter_unpack("<3I4x", elf[offset : offset + size]):
                    end = elf.index(b"\0", names + name)
                    symbols[elf[names + name : end].decode()] = value & 0xFFFF
        return cls(bytes(flash), symbols)


def _table(elf: bytes, offset_at: int, size_at: int, layout: str) -> Iterator[tuple[int, ...]]:
    """The rows of the program or the section headers."""
    (offset,) = unpack_from("<I", elf, offset_at)
    size, count = unpack_from("<HH", elf, size_at)
    assert size >= calcsize(layout)
    return (unpack_from(layout, elf, offset + index * size) for index in range(count))


class ChipState:
    """What `Chip.save` gave."""

    def __init__(self, library: ctypes.CDLL, pointer: int) -> None:
        self.pointer = pointer
        self._library = library

    def __del__(self) -> None:
        self._library.chip_state_free(self.pointer)


class Chip:
    """One chip with a program, freshly powered."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._c = _library()
        device = program.symbols["device"]
        self._chip = self._c.chip_new(program.flash, len(program.flash), device)
        assert self._chip, "libsimavr has no ATmega328P"
        self._trace = Trace(self._c, self._c.chip_recorder(self._chip))
        self.reset(ResetFlag.POWER_ON)

    def __del__(self) -> None:
        if getattr(self, "_chip", None):
            self._c.chip_free(self._chip)

    # --- time ---------------------------------------------------------------------------------

    @property
    def cycle(self) -> int:
        """Cycles since it was made; a reset does not set them back."""
        return int(self._c.chip_cycle(self._chip))

    @property
    def device_ms(self) -> int:
        """The device's own milliseconds, counted on over boots, at the last thing it told."""
        return int(self._c.chip_device_ms(self._chip))

    @property
    def steps(self) -> int:
        """Milliseconds of the device since the chip was made."""
        return int(self._c.chip_steps(self._chip))

    def go_by_cycles(self) -> None:
        """Let `device_ms` begin, at a boot, at the milliseconds of the cycle counter; otherwise
        a boot takes no time."""
        self._c.chip_go_by_cycles(self._chip)

    def run(self, until: int, halts: Halt = Halt.NOTHING) -> Halt:
        """Up to the cycle `until`, or before to one of `halts`, a reset or a crash."""
        return Halt(self._c.chip_run(self._chip, until, halts))

    def skip(self, cycles: int) -> None:
        """Let time pass while power is away."""
        self._c.chip_skip(self._chip, cycles)

    def reset(self, flag: ResetFlag) -> None:
        """Reset it from outside; only the EEPROM remembers."""
        self._c.chip_reset(self._chip, flag)

    def stop_after_steps(self, steps: int) -> None:
        """Where Halt.STEP is: that many of the device's milliseconds from now; 0 for never."""
        self._c.chip_stop_after_steps(self._chip, steps)

    def freeze(self, frozen: bool) -> None:
        """Let the tick, and the watchdog with it, stand still or go on."""
        self._c.chip_freeze(self._chip, frozen)

    def hang(self, how: Hang) -> None:
        """Lose the program."""
        self._c.chip_hang(self._chip, how)

    def save(self) -> "ChipState":
        """All there is to the chip now, but for its trace."""
        return ChipState(self._c, self._c.chip_save(self._chip))

    def load(self, state: "ChipState") -> None:
        """Go back to what this very chip was; rows of the trace that nobody took are lost."""
        self._c.chip_load(self._chip, state.pointer)

    # --- the line -----------------------------------------------------------------------------

    def send(self, data: bytes) -> int:
        """Bytes to the chip, one after another at the line's speed; how many there was room for."""
        return int(self._c.chip_send(self._chip, data, len(data)))

    def unsent_bytes(self) -> int:
        """Those of which no bit is on the line yet."""
        return int(self._c.chip_unsent(self._chip))

    def discard_unsent(self) -> None:
        """Forget them."""
        self._c.chip_discard_unsent(self._chip)

    def sent_at(self) -> int:
        """The cycle at which the chip has the last of them."""
        return int(self._c.chip_sent_at(self._chip))

    def take(self) -> bytes:
        """The bytes that have left the chip since the last call."""
        return self.take_stamped()[0]

    def take_stamped(self) -> tuple[bytes, list[int]]:
        """The same, with the cycle at which the last bit of each was out."""
        count = self._c.chip_take(self._chip, self._bytes, self._stamps, _TAKE_BYTES)
        return bytes(self._bytes[:count]), list(self._stamps[:count])

    _bytes = (c_uint8 * _TAKE_BYTES)()
    _stamps = (c_uint64 * _TAKE_BYTES)()

    @property
    def is_line_busy(self) -> bool:
        """Whether anything travels, either way."""
        return bool(self._c.chip_is_busy(self._chip))

    @property
    def overruns(self) -> int:
        """Bytes that came before the program had read those before them."""
        return int(self._c.chip_overruns(self._chip))

    # --- pins ---------------------------------------------------------------------------------

    def set_pin(self, port: str, bit: int, level: Level) -> None:
        """What is at an input, e.g. `("D", 2, Level.LOW)`."""
        self._c.chip_set_pin(self._chip, port.encode(), bit, level)

    def set_adc(self, channel: int, millivolts: int) -> None:
        """The voltage at an input of the converter."""
        self._c.chip_set_adc(self._chip, channel, millivolts)

    def set_pulse(self, port: str, bit: int, cycles: int) -> None:
        """Let an input change every so many cycles; 0 lets it stand."""
        self._c.chip_set_pulse(self._chip, port.encode(), bit, cycles)

    def watch_pin(self, *, every_edge: bool = False) -> None:
        """Look at the motor's pin anew; at every edge, or only after each change of its timer."""
        self._c.chip_watch_pin(self._chip, every_edge)

    def pin(self) -> Pin:
        """What it has done since."""
        pin = Pin()
        self._c.chip_pin(self._chip, byref(pin))
        return pin

    # --- memory -------------------------------------------------------------------------------

    def read(self, address: int, size: int) -> bytes:
        """Registers, I/O and RAM, at the addresses that the program uses."""
        data = (c_uint8 * size)()
        self._c.chip_read(self._chip, address, data, size)
        return bytes(data)

    def write(self, address: int, data: bytes) -> None:
        """The same, without any effect that an instruction would have."""
        self._c.chip_write(self._chip, address, data, len(data))

    @property
    def now(self) -> Now:
        """Where the device stands."""
        address = self.program.symbols["device"]
        return Now.from_buffer_copy(self.read(address, ctypes.sizeof(Now)))

    def image(self) -> bytes:
        """All that the program remembers, but for its uptime: registers, variables, live stack."""
        memory = self.read(0, _RAM_END)
        device, stack = self.program.symbols["device"], int.from_bytes(memory[0x5D:0x5F], "little")
        variables = memory[_RAM:device] + memory[device + 4 : self.program.symbols["_end"]]
        return memory[:32] + variables + memory[stack + 1 :]

    def set_uptime_ms(self, uptime_ms: int) -> None:
        """Let the device believe that so much time has passed since its boot."""
        self.write(self.program.symbols["device"], uptime_ms.to_bytes(4, "little"))

    @property
    def eeprom(self) -> bytes:
        """All of it; what is set is there at the next boot."""
        data = (c_uint8 * EEPROM_BYTES)()
        self._c.chip_read_eeprom(self._chip, 0, data, EEPROM_BYTES)
        return bytes(data)

    @eeprom.setter
    def eeprom(self, data: bytes) -> None:
        self._c.chip_write_eeprom(self._chip, 0, data, min(len(data), EEPROM_BYTES))

    def unused_stack(self) -> int:
        """Bytes between the variables and the stack that nothing has touched since the reset."""
        begin = self.program.symbols["_end"]
        memory = self.read(begin, _RAM_END - begin)
        return len(memory) - len(memory.lstrip(bytes([PAINT])))

    # --- watching -----------------------------------------------------------------------------

    def watch_interrupts(self, watched: bool) -> None:
        """Look at the I bit at every instruction, from now on."""
        self._c.chip_watch_interrupts(self._chip, watched)

    def longest_off(self) -> tuple[int, int]:
        """For how many cycles interrupts were off at most, and the address where that began."""
        pc = c_uint32()
        return int(self._c.chip_longest_off(self._chip, byref(pc))), pc.value

    def take_trace(self) -> list[TraceRow]:
        """The rows of the motor trace since the last call."""
        return self._trace.take()


_PROTOTYPES: Final[dict[str, tuple[object, ...]]] = {  # the result, then the arguments
    "chip_new": (ctypes.c_void_p, ctypes.c_char_p, c_uint32, c_uint16),
    "chip_free": (None,),
    "chip_reset": (None, c_uint8),
    "chip_run": (c_uint32, c_uint64, c_uint32),
    "chip_cycle": (c_uint64,),
    "chip_skip": (None, c_uint64),
    "chip_recorder": (POINTER(Recorder),),
    "chip_go_by_cycles": (None,),
    "chip_device_ms": (c_uint64,),
    "chip_stop_after_steps": (None, c_uint32),
    "chip_steps": (c_uint64,),
    "chip_freeze": (None, c_bool),
    "chip_send": (c_uint32, ctypes.c_char_p, c_uint32),
    "chip_unsent": (c_uint32,),
    "chip_discard_unsent": (None,),
    "chip_sent_at": (c_uint64,),
    "chip_is_busy": (c_bool,),
    "chip_take": (c_uint32, POINTER(c_uint8), POINTER(c_uint64), c_uint32),
    "chip_overruns": (c_uint32,),
    "chip_set_pin": (None, c_char, c_uint8, c_uint8),
    "chip_set_adc": (None, c_uint8, c_uint32),
    "chip_set_pulse": (None, c_char, c_uint8, c_uint64),
    "chip_watch_pin": (None, c_bool),
    "chip_pin": (None, POINTER(Pin)),
    "chip_read": (None, c_uint16, POINTER(c_uint8), c_uint16),
    "chip_write": (None, c_uint16, ctypes.c_char_p, c_uint16),
    "chip_read_eeprom": (None, c_uint16, POINTER(c_uint8), c_uint16),
    "chip_write_eeprom": (None, c_uint16, ctypes.c_char_p, c_uint16),
    "chip_hang": (None, c_uint32),
    "chip_save": (ctypes.c_void_p,),
    "chip_load": (None, ctypes.c_void_p),
    "chip_state_free": (None,),
    "chip_watch_interrupts": (None, c_bool),
    "chip_longest_off": (c_uint64, POINTER(c_uint32)),
}


@cache
def _library() -> ctypes.CDLL:
    """libchip.so, built where it has to be. Raises CannotBuild."""
    library = ctypes.CDLL(str(built("build/emulator/libchip.so", "simavr")))
    for name, (result, *arguments) in _PROTOTYPES.items():
        function = getattr(library, name)
        function.restype = result
        is_new = name == "chip_new"
        function.argtypes = arguments if is_new else [ctypes.c_void_p, *arguments]
    library.recorder_forget.argtypes = [POINTER(Recorder)]
    library.recorder_forget.restype = None
    library.recorder_word.argtypes = [c_uint8]
    library.recorder_word.restype = ctypes.c_char_p
    return library
