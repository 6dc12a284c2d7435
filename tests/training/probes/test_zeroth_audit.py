from pathlib import Path

import pytest

from safelab.training.probes.zeroth_audit import audit_votes
from support.runs import algorithms_by_votes, by_votes, parts_of


@pytest.mark.parametrize("algorithm", algorithms_by_votes())
def test_perturbation_and_step_move_the_policy(algorithm: str, tmp_path: Path) -> None:
    result = audit_votes(parts_of(by_votes(tmp_path, f"algorithm={algorithm}")), 1.0, say=lambda text: None)
    assert result.kl == pytest.approx(1.0, abs=0.05)
    assert result.passed
    assert [term.term for term in result.terms] == ["perturbation", "step"]
    assert "no loss and no backward pass" in result.terms[1].note


def test_one_that_changes_no_response_is_told(tmp_path: Path) -> None:
    settings = ["optimizer.mu=1e-9", "optimizer.noise=same"]
    result = audit_votes(parts_of(by_votes(tmp_path, *settings)), 1.0, say=lambda text: None)
    assert not result.passed
    assert [term.acts for term in result.terms] == [False, False]
    assert "raise optimizer.mu" in result.terms[0].note
