"""The C core under sanitizers, judged by scripts of random bytes, and a moment of libFuzzer."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.firmware.build import built, compiler
from tests.firmware.test_core_frames import ACCEPT, REJECT

ROOT = Path(__file__).parent.parent.parent
# Operations of firmware/boards/host/script.c: bytes of a stream, a message of a broker.
ON_THE_LINE = 0
AS_A_MESSAGE = 143  # 0 modulo 13, with bit 7 set


def replayed(*words: str) -> dict[str, int]:
    """What the scripts came to. Whatever a sanitizer or a rule finds ends it with an error."""
    program = built("build/host/replay_sanitized", "sanitizers")
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3_000:]
    return {name.strip(): int(count) for name, count in re.findall(r"([a-z ]+) (\d+)", done.stdout)}


@pytest.mark.needs("cc", "sanitizers")
def test_random_scripts_break_no_rule_and_no_memory() -> None:
    totals = replayed("--random", "400", "1")
    assert totals["operations"] > 20_000
    assert totals["replies"] > 20_000
    assert totals["bad frames"] > 1_000
    assert totals["sessions"] > 200
    assert totals["moving ms"] > 300_000


@pytest.mark.needs("cc", "sanitizers")
def test_the_golden_vectors_break_no_rule_and_no_memory(tmp_path: Path) -> None:
    vectors = [*ACCEPT, *REJECT]
    script = bytearray([0, 0])
    for vector in vectors:
        wire = bytes.fromhex(vector["wire"])
        what = ON_THE_LINE if vector["bearer"] == "stream" else AS_A_MESSAGE
        for piece in (wire[at : at + 63] for at in range(0, len(wire), 63)):
            script += bytes([what, len(piece)]) + piece
    (tmp_path / "vectors").write_bytes(script)
    totals = replayed(str(tmp_path / "vectors"))
    assert totals["operations"] >= len(vectors)
    assert totals["replies"] > 40
    assert totals["bad frames"] > 40


@pytest.mark.needs("cc", "sanitizers")
def test_the_program_that_judges_finds_guilty_what_breaks_a_rule(tmp_path: Path) -> None:
    """Without the lease, without the gentlest level, without the count of bad frames."""
    core = ROOT / "firmware" / "core"
    for file, guard, broken in (
        ("machine.c", "if (device->now.lease_left_ms != 0u) {", "if (true) {"),
        ("gate.c", "return gentlest;", "return 1000u;"),
        ("frame.c", "device->now.bad_frames++;", ""),
        ("machine.c", "    cut(device);\n    (void)end_session(device, reason);", "(void)reason;"),
    ):
        text = (core / file).read_text("utf-8")
        assert text.count(guard) == 1, guard
        assert "breach" in breach_in_a_core_with(tmp_path, file, text.replace(guard, broken))


def breach_in_a_core_with(folder: Path, name: str, text: str) -> str:
    """What the random scripts say of the core with one of its files changed."""
    (folder / name).write_text(text, encoding="utf-8")
    firmware = ROOT / "firmware"
    others = [path for path in (firmware / "core").glob("*.c") if path.name != name]
    host = firmware / "boards" / "host"
    program = folder / "replay"
    files = [folder / name, *others, host / "script.c", host / "replay.c"]
    command = [str(compiler()), "-O1", "-w", f"-I{firmware / 'core'}", f"-I{host}"]
    subprocess.run([*command, "-o", str(program), *map(str, files)], check=True)
    done = subprocess.run(
        [program, "--random", "400", "1"], capture_output=True, text=True, check=False
    )
    return done.stderr


@pytest.mark.needs("cc", "sanitizers")
def test_the_conformance_tests_pass_on_the_core_under_sanitizers() -> None:
    built("build/host/libmassager-sanitized.so", "sanitizers")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "tests/conformance"),
            *("-k", "core and not datagrams"),
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "MASSAGER_SANITIZED": "1",
            "LD_PRELOAD": str(shared_sanitizer()),
            "ASAN_OPTIONS": "detect_leaks=0",  # Python's own
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]


def shared_sanitizer() -> Path:
    """The library that Python must be started with to load what was built for it."""
    machine = os.uname().machine
    for name in (f"libclang_rt.asan-{machine}.so", "libasan.so"):  # clang finds gcc's, too
        told = subprocess.run(
            [str(compiler()), f"-print-file-name={name}"],
            capture_output=True,
            text=True,
            check=True,
        )
        path = Path(told.stdout.strip())
        if path.is_absolute() and path.exists():
            return path.resolve()
    raise AssertionError("the compiler has no shared AddressSanitizer")


@pytest.mark.needs("cc", "clang", "sanitizers")
def test_libfuzzer_finds_no_breach_in_a_moment(tmp_path: Path) -> None:
    """`make fuzz` does it for long."""
    (tmp_path / "corpus").mkdir()
    done = subprocess.run(
        [
            *(built("build/host/fuzz_receive", "clang"), tmp_path / "corpus"),
            *("-seed=1", "-runs=700", "-len_control=0", "-max_len=200", "-timeout=20"),
            f"-artifact_prefix={tmp_path}/",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    assert "Done 700 runs" in done.stderr
    found = replayed(*map(str, (tmp_path / "corpus").iterdir()))
    assert found["replies"] > 100
    assert found["moving ms"] > 1_000
