"""What a lesson starts from: heads that a checkpoint lacks, dropout, and models that are refused."""

from pathlib import Path

import pytest
import torch

from safelab.errors import ConfigError
from support.lessons import LOADERS, lesson
from support.models import value_model_directory
from support.pairs import pairs


def test_a_head_that_is_drawn_depends_on_the_seed_only() -> None:
    torch.manual_seed(1)
    first = lesson("reward_model").model.score.weight
    torch.manual_seed(2)
    assert torch.equal(lesson("reward_model").model.score.weight, first)
    assert not torch.equal(lesson("reward_model", seed=1).model.score.weight, first)


def test_a_value_model_begins_at_zero_and_without_dropout() -> None:
    learner = lesson("value_model")
    learner.model.train()
    values, _ = learner.values(pairs(3))
    assert values.abs().max() == 0
    kept = lesson("value_model", model=str(value_model_directory()))
    quiet = kept.values(pairs(3))[0]
    kept.model.train()
    assert torch.equal(kept.values(pairs(3))[0], quiet)


@pytest.mark.parametrize("name", LOADERS)
def test_a_model_that_is_not_there_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"model must be a directory or hub name that loads, got '{tmp_path}'"):
        lesson(name, model=str(tmp_path))
