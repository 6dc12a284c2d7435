"""Operations of an update, counted by hand."""

from types import SimpleNamespace

import pytest

from safelab.app.dry_run.estimate import batches
from safelab.app.dry_run.time import hours, operations
from support.runs import resolved

SHAPE = SimpleNamespace(vocab_size=10, hidden_size=4, tie_word_embeddings=False)
TIED = SimpleNamespace(vocab_size=10, hidden_size=4, tie_word_embeddings=True)


def counted(shape: SimpleNamespace, *overrides: str) -> float:
    config = resolved("rollout.batch_size=8", "optimizer.epochs=2", "updates=10", *overrides)
    return operations(config, batches(config), 140, shape, 5)


def test_an_online_update_writes_scores_twice_and_learns_three_passes_an_epoch() -> None:
    # 100 weights multiply: 140 less the table of 10 x 4. 8 rows of 5 tokens, 1 + 2 + 2 x 3 passes, 2 operations each.
    assert counted(SHAPE) == 2 * 100 * 5 * 8 * 9
    assert counted(TIED) == 2 * 140 * 5 * 8 * 9


@pytest.mark.parametrize(("override", "passes"), [
    ("policy.gradient_checkpointing=true", 4), ("policy/adapter=lora", 2),
])  # fmt: skip
def test_recomputing_costs_a_pass_and_an_adapter_saves_one(override: str, passes: int) -> None:
    model = (
        []
        if "gradient" in override
        else ["policy=local", "policy.path=x", "data=text", "data.path=x", "reward=released_heuristic"]
    )
    assert counted(SHAPE, *model, override) == 2 * 100 * 5 * 8 * (1 + 2 + 2 * passes)


def test_an_offline_update_learns_from_pairs_and_writes_where_it_is_measured() -> None:
    # 4 pairs are 8 answers: the reference and three passes; 8 responses in one update of two, 3 passes.
    asked = ["algorithm=dpo", "pairs.batch_size=4", "pairs.evaluate_every=2"]
    assert counted(SHAPE, *asked) == pytest.approx(2 * 100 * 5 * (8 * 4 + 8 * 3 * 0.5))


def test_hours() -> None:
    assert hours(3.6e17) == pytest.approx(1.0)
