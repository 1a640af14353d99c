"""What the compiled core believes is what the definition says: numbers, offsets, words, layouts."""

import ctypes
import re
import subprocess
from pathlib import Path
from struct import pack
from typing import Final

import pytest

from firmware_protocol import limits, messages
from firmware_protocol.codec import decode
from firmware_protocol.framing import DatagramFraming
from firmware_protocol.messages import Identity, Limits
from simulator.device import DeviceConfig
from simulator.firmware.build import FIRMWARE, compiler, host_library
from simulator.firmware.core import ROW, HostCore, Now, load
from simulator.machine import TraceRow

pytestmark = pytest.mark.needs("cc")

HEADER: Final = FIRMWARE / "core" / "protocol.h"
NAMES: Final = re.findall(r"^#define (MASSAGER_\w+) .", HEADER.read_text("utf-8"), re.MULTILINE)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Each macro of protocol.h as the C compiler reads it."""
    folder = tmp_path_factory.mktemp("table")
    rows = "".join(f'    {{"{name}", {name}}},\n' for name in NAMES)
    source = (
        '#include "massager.h"\n'
        "const struct { const char *name; long long value; } table[] = {\n" + rows + "};\n"
        f"const int rows = {len(NAMES)};\n"
        "const unsigned long sizes[] = {sizeof(struct massager_now),\n"
        "    sizeof((struct massager *)0)->candidate, sizeof((struct massager *)0)->reply};\n"
    )
    (folder / "table.c").write_text(source, encoding="utf-8")
    built = folder / "table.so"
    command = [str(compiler()), "-std=c11", "-shared", "-fPIC", f"-I{FIRMWARE / 'core'}"]
    subprocess.run([*command, "-o", str(built), str(folder / "table.c")], check=True)
    return _read(built)


class _Row(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("value", ctypes.c_longlong))


def _read(built: Path) -> dict[str, int]:
    library = ctypes.CDLL(str(built))
    rows = ctypes.c_int.in_dll(library, "rows").value
    table = (_Row * rows).in_dll(library, "table")
    sizes = (ctypes.c_ulong * 3).in_dll(library, "sizes")
    found = {row.name.decode("ascii"): int(row.value) for row in table}
    return {**found, "sizeof now": sizes[0], "sizeof candidate": sizes[1], "sizeof reply": sizes[2]}


@pytest.mark.parametrize("layout", messages.MESSAGES, ids=lambda layout: layout.wire_name)
def test_a_message_has_the_same_type_length_and_offsets_in_c(
    compiled: dict[str, int], layout: messages.Layout
) -> None:
    name = layout.wire_name
    assert compiled[f"MASSAGER_TYPE_{name}"] == layout.type_id
    assert compiled[f"MASSAGER_{name}_SIZE"] == layout.struct.size
    for field, _ in layout.fields:
        assert compiled[f"MASSAGER_{name}_{field.upper()}_AT"] == first_byte_of(layout, field)


def first_byte_of(layout: messages.Layout, name: str) -> int:
    """Where this field begins: packed with all its bits set, and the others 0."""
    ones = {"8s": b"\xff" * 8, "h": -1, "B": 0xFF, "H": 0xFFFF, "I": 0xFFFF_FFFF}
    values = [
        ones[field.code] if key == name else b"" if field.code == "8s" else 0
        for key, field in layout.fields
    ]
    packed = layout.struct.pack(*values)
    return next(at for at, byte in enumerate(packed) if byte)


WORDS: Final = {
    "STATE": messages.State,
    "END_REASON": messages.EndReason,
    "FAULT": messages.Fault,
    "REASON": messages.Reason,
    "EVENT_CODE": messages.EventCode,
    "RESET_CAUSE": messages.ResetCause,
    "FEET": messages.Feet,
    "CAPABILITY": messages.Capability,
    "HELLO_FLAG": messages.HelloFlag,
}


@pytest.mark.parametrize("prefix", WORDS)
def test_a_word_has_the_same_number_in_c(compiled: dict[str, int], prefix: str) -> None:
    assert all(
        compiled[f"MASSAGER_{prefix}_{member.name}"] == member.value for member in WORDS[prefix]
    )


def test_every_number_of_both_sides_is_the_same_in_c(compiled: dict[str, int]) -> None:
    numbers = {name: value for name, value in vars(limits).items() if isinstance(value, int)}
    assert len(numbers) > 30
    assert {name: compiled[f"MASSAGER_{name}"] for name in numbers} == numbers


def test_what_stands_for_nothing_is_the_same_in_c(compiled: dict[str, int]) -> None:
    assert compiled["MASSAGER_TEMPERATURE_NOT_MEASURED"] == -32_768
    assert compiled["MASSAGER_CURRENT_NOT_MEASURED"] == 65_535
    assert compiled["MASSAGER_NO_TOKEN"] == 0
    assert compiled["MASSAGER_FROM_DEVICE"] == 0x80


def test_the_fingerprint_is_the_same_in_c(compiled: dict[str, int]) -> None:
    assert compiled["MASSAGER_FINGERPRINT"] == messages.FINGERPRINT


def test_the_receive_buffer_has_42_bytes_and_the_kept_reply_37(compiled: dict[str, int]) -> None:
    assert compiled["sizeof candidate"] == 42
    assert compiled["sizeof reply"] == 37


def test_python_reads_the_device_s_struct_as_c_lays_it_out(compiled: dict[str, int]) -> None:
    assert ctypes.sizeof(Now) == compiled["sizeof now"] == 44
    core = HostCore(DeviceConfig(gentlest_permille=321), boot_id=0xBEEF)
    core.advance(70_000)
    now = core.now
    assert (now.uptime_ms, now.ceiling, now.boot_id) == (70_000, 321_000, 0xBEEF)
    assert (now.zero_ms, now.event_id, now.feet_on, now.reset_cause) == (60_000, 1, 1, 1)


# --- what it tells ------------------------------------------------------------------------------


def asked(core: HostCore, raw: bytes) -> messages.Message:
    core.take_frames()
    core.datagram(DatagramFraming().encode(raw))
    return decode(core.take_frames()[0][:-4])


def test_identity_tells_the_configuration_and_the_definition() -> None:
    config = DeviceConfig(device_id="foot-001", model=513)
    core = HostCore(config, boot_id=65_535, reset_cause=messages.ResetCause.WATCHDOG)
    identity = asked(core, pack("<BBBHBBBI", 1, 1, 1, 0, 1, 0, 255, 0xFEEDF00D))
    assert identity == Identity(
        major=1,
        minor=0,
        host_nonce=0xFEEDF00D,
        device_id=b"foot-001",
        boot_id=65_535,
        reset_cause=4,
        model=513,
        speed=1,
        capabilities=0b11111,
        fingerprint=messages.FINGERPRINT,
    )


def test_limits_tell_the_configuration_and_the_definition() -> None:
    core = HostCore(DeviceConfig(gentlest_permille=200, max_permille=600, steps=512))
    assert asked(core, pack("<BBBH", 1, 2, 1, 0)) == Limits(
        gentlest_permille=200,
        max_permille=600,
        rise_permille_s=25,
        fall_permille_s=500,
        lease_min_ms=500,
        lease_max_ms=5_000,
        run_max_s=900,
        rest_s=60,
        steps=512,
    )


# --- the recorder --------------------------------------------------------------------------------


def test_every_note_of_the_core_has_its_word() -> None:
    library = load(host_library())
    words = [library.recorder_word(number) for number in range(256)]
    known = [word.decode("ascii") for word in words if word]
    text = (FIRMWARE / "core" / "massager.h").read_text("utf-8")
    notes = re.findall(r"^    MASSAGER_NOTE_([A-Z_]+),", text, re.MULTILINE)
    assert words[0] is None  # a step is no row of its own
    assert known[: len(notes) - 2] == [
        note.lower() for note in notes if note not in ("STEP", "FAULT")
    ]
    assert known[len(notes) - 2 :] == [
        "over_temperature",
        "over_current",
        "stall",
        "stuck_on",
        "sensor",
        "emergency_stop",
        "internal",
        "gate",
        "tick",
    ]


def test_a_row_is_read_as_c_writes_it() -> None:
    assert ROW.size == 24
    core = HostCore(DeviceConfig(), boot_id=7)
    core.take_trace()
    core.receive(bytes.fromhex("00"))
    core.datagram(DatagramFraming().encode(pack("<BBBHBBBI", 1, 1, 1, 0, 0, 1, 1, 5)))
    core.datagram(DatagramFraming().encode(pack("<BBBHHH", 1, 3, 2, 0x0701, 400, 1500)))
    core.advance(1)
    assert core.take_trace() == [
        TraceRow(0, 7, 0x0701, "ready", 0, 150, 0, 0, "hello"),
        TraceRow(0, 7, 0x0701, "running", 400, 150, 0, 1500, "set_level"),
        TraceRow(1, 7, 0x0701, "running", 400, 150, 150, 1499, "gate"),
    ]
    assert core.take_trace() == []
