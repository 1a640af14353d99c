"""The short form of the campaign of random sessions: `make soak` runs thousands."""

import pytest

from tests.campaigns.random_sessions import main, run_seed


@pytest.mark.parametrize("seed", range(1, 31))
def test_a_random_session_with_five_faults_keeps_the_invariants_and_is_ready_again(
    seed: int,
) -> None:
    result = run_seed(seed)
    assert result.problems == []
    assert result.faults >= 5


def test_the_same_seed_gives_the_same_trace() -> None:
    assert [run_seed(seed).trace_hash for seed in (3, 4)] == [
        run_seed(seed).trace_hash for seed in (3, 4)
    ]
    assert run_seed(3).trace_hash != run_seed(4).trace_hash


def test_the_campaign_says_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "2", "--first", "5", "--twice"]) == 0
    assert "2 sessions" in capsys.readouterr().out
