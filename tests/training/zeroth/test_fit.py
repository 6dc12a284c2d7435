"""What a run by votes would pass over in silence is refused: one line each."""

from pathlib import Path

import pytest

from safelab.app.config.build import problems
from support.pairs import offline
from support.runs import by_votes, small

WITH = "with optimizer=zeroth_order"
REFUSED = {
    "critic": (["critic=single"], f"critic must be none {WITH}, which reads no values, got single"),
    "penalty": (["controller=fixed_kl"], f"controller must be none {WITH}, which has no loss that a KL penalty"),
    "preview": (["controller/preview=cap"], f"controller must be none {WITH}"),
    "shaping": (["shaping=running"], f"shaping must be none {WITH}, which compares raw scores, got clip, normaliser"),
    "charge": (["shaping.missing_end_penalty=1.0"], f"shaping must be none {WITH}"),
    "staleness": (["rollout.staleness=2"], f"rollout.staleness must be 0 {WITH}"),
    "correction": (["correction=truncate"], f"correction must be none {WITH}, which weights no token, got truncate"),
    "entropy": (["objective.entropy_coef=0.1"], f"objective.entropy_coef must be 0 {WITH}"),
    "ranks": (["ranks=2"], f"ranks must be 1 {WITH}, which writes and votes in one process, got 2"),
    "shares": (["optimizer.perturbations=9"], "optimizer.perturbations must be at most rollout.batch_size, 8"),
    "gold": (["optimizer.oracle.of=gold"], "evaluator must be one of its options with optimizer.oracle.of=gold"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    overrides, told = REFUSED[case]
    (line,) = problems(by_votes(tmp_path, *overrides))
    assert line.startswith(told)


def test_a_loss_on_pairs_is_not_learnt_beside_votes(tmp_path: Path) -> None:
    votes = ["optimizer=zeroth_order", "optimizer.oracle.of=reward", "optimizer.perturbations=2"]
    lines = problems(offline(tmp_path, "algorithm=dpo", *votes))
    assert [line.split(" must")[0] for line in lines] == ["preference", "pairs"]


def test_a_run_by_a_loss_is_not_asked(tmp_path: Path) -> None:
    assert problems(small(tmp_path, "algorithm=safe")) == []
