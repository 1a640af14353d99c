"""The script that breaks the core's limits: its list fits the sources, and a broken core is found.

All of them take a quarter of an hour: `make mutants`.
"""

from pathlib import Path

import pytest

from tests.campaigns import firmware_mutants
from tests.campaigns.firmware_mutants import Mutant, mutants, mutated, tried

CORE = Path(__file__).parent.parent.parent / "firmware" / "core"


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_a_mutant_changes_one_place_of_the_core(mutant: Mutant) -> None:
    source = (CORE / mutant.file).read_text(encoding="utf-8")
    assert mutated(mutant, source) != source


def test_a_text_that_is_not_there_exactly_once_is_no_mutant() -> None:
    with pytest.raises(ValueError, match=r"2 times in gate\.c"):
        mutated(Mutant("twice", "gate.c", "x", "y"), "x = x;")


def test_each_has_a_name_of_its_own_and_few_cannot_be_told_from_the_original() -> None:
    names = [mutant.name for mutant in mutants()]
    assert len(names) == len(set(names)) > 100
    assert sum(bool(mutant.equivalent) for mutant in mutants()) < len(names) / 20


@pytest.mark.needs("cc")
def test_a_core_whose_lease_never_ends_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firmware_mutants, "TESTS", ("tests/conformance/test_alone.py",))
    (mutant,) = [mutant for mutant in mutants() if mutant.name == "the lease never ends"]
    assert "test_the_output_falls_at_1000_permille_a_second" in tried(mutant).killed_by
