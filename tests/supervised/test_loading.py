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


LORA = {"name": "lora", "rank": 4, "alpha": 8.0, "targets": None}


@pytest.mark.parametrize("name", LOADERS)
def test_checkpointing_keeps_less_and_moves_neither_loss_nor_gradient(name: str) -> None:
    def passed(**changes: object) -> tuple[torch.Tensor, list[torch.Tensor], int]:
        learner, kept = lesson(name, **changes), []

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            kept.append(tensor.untyped_storage().nbytes())
            return tensor

        learner.model.train()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = learner.loss_sum(pairs(8))
        loss.backward()
        return loss.detach(), [w.grad for w in learner.model.parameters() if w.grad is not None], sum(kept)

    for adapter in ({"name": "none"}, LORA):
        plain, gradients, much = passed(adapter=adapter)
        again, same, little = passed(adapter=adapter, gradient_checkpointing=True)
        assert torch.allclose(again, plain, rtol=1e-6)
        assert len(same) == len(gradients) > 5
        assert all(torch.allclose(mine, theirs, atol=1e-6) for mine, theirs in zip(same, gradients, strict=True))
        assert little < much / 2


@pytest.mark.parametrize("name", LOADERS)
def test_an_adapter_begins_where_its_base_is_and_only_it_and_the_head_learn(name: str) -> None:
    whole, adapted = lesson(name), lesson(name, adapter=LORA)
    assert torch.equal(adapted.loss_sum(pairs(4)), whole.loss_sum(pairs(4)))
    learnt = {key for key, weight in adapted.model.named_parameters() if weight.requires_grad}
    assert all("lora_" in key or ".score.modules_to_save." in key for key in learnt)
    assert any(".score." in key for key in learnt) == (name != "sft")


def test_a_target_that_is_no_layer_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"adapter\.targets must name linear layers .* got 'q_prj': did you mean"):
        lesson("sft", adapter={**LORA, "targets": ["q_prj"]})
