"""Without padding every lesson has the loss and the gradients that it has with it, from fewer positions."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from safelab.supervised.pairs import learn_from_pairs
from safelab.supervised.rows import cut
from support.lessons import LOADERS, lesson, options
from support.models import model_directory
from support.pairs import pairs

LORA = {"name": "lora", "rank": 4, "alpha": 8.0, "targets": None}


def gradients(learner: Any, size: int = 12) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    learner.model.train()
    loss = learner.loss_sum(pairs(size))
    loss.backward()
    return loss.detach(), {name: w.grad for name, w in learner.model.named_parameters() if w.grad is not None}


def eager(lessons: Any) -> Any:
    """The same, as a model is read whose attention cannot be replaced."""
    lessons.reader.module.set_attn_implementation("eager")
    object.__setattr__(lessons.reader, "way", "rows")
    return lessons


@pytest.mark.parametrize("adapter", [{"name": "none"}, LORA])
@pytest.mark.parametrize("way", ["stream", "rows"])
@pytest.mark.parametrize("name", LOADERS)
def test_loss_and_gradients_are_those_with_padding(name: str, way: str, adapter: dict[str, Any]) -> None:
    plain, learner = lesson(name, adapter=adapter, packing="none"), lesson(name, adapter=adapter)
    assert plain.reader is None
    assert learner.reader.way == "stream"
    learner = eager(learner) if way == "rows" else learner
    for each in (plain, learner):  # a head of zeros would let nothing through
        for key, weight in each.model.named_parameters():
            if "score" in key:
                weight.data.fill_(0.25).flatten()[::2] = -0.5
    (loss, mine), (expected, theirs) = gradients(learner), gradients(plain)
    assert torch.allclose(loss, expected, rtol=1e-5)
    assert mine.keys() == theirs.keys()
    assert max(float(own.abs().max()) for own in theirs.values()) > 0.1
    for key, own in theirs.items():
        assert torch.allclose(mine[key], own, atol=1e-5 * max(1.0, float(own.abs().max()))), key
    assert learner.measure(cut(pairs(7, seed=2), 3)) == pytest.approx(plain.measure(cut(pairs(7, seed=2), 3)), rel=1e-5)


@pytest.mark.parametrize("name", LOADERS)
def test_layers_read_each_token_once_and_the_head_what_counts(name: str) -> None:
    learner, some = lesson(name), pairs(6)
    read, mapped = [], []
    model = learner.model
    model.get_input_embeddings().register_forward_pre_hook(lambda _, given: read.append(given[0].numel()))
    learner.reader.head.register_forward_pre_hook(lambda _, given: mapped.append(given[0].shape[:-1].numel()))
    learner.loss_sum(some)

    def tokens(text: str) -> int:
        return len(learner.tokenizer(text)["input_ids"])

    prompts = sum(tokens(pair.prompt) for pair in some)
    better, worse = (sum(tokens(getattr(pair, side)) for pair in some) for side in ("chosen", "rejected"))
    # Both answers begin alike now and then: what a reward model reads once is what the texts share, and no more.
    alike = 0
    for pair in some:
        both = zip(pair.chosen.split(), pair.rejected.split(), strict=False)  # a word a token
        alike += next(place for place, (a, b) in enumerate(both) if a != b)
    assert {
        "sft": (read[0], mapped[0]) == (prompts + better + 6, better + 6),
        "reward_model": (read[0], mapped[0]) == (prompts + better + worse - alike, 12),
        "value_model": (read[0], mapped[0]) == (prompts + better + worse + 12, better + worse + 24),
    }[name]
    assert len(read) == len(mapped) == 1
    assert (
        sum(learner.lengths(some))
        == {
            "sft": prompts + better + 6,
            "reward_model": 2 * prompts + better + worse,
            "value_model": 2 * prompts + better + worse + 12,
        }[name]
    )


@pytest.mark.parametrize("name", LOADERS)
def test_a_model_with_dropout_learns_the_weights_that_it_learns_with_padding(name: str, tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(model_directory())
    model.config.attention_dropout = 0.2
    model.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(model_directory()).save_pretrained(tmp_path)
    ends = []
    for packing in ("auto", "none"):
        chosen = {"model": str(tmp_path), "packing": packing, "batch_size": 4, "lr": 0.01}
        learner = lesson(name, **chosen)
        assert learner.reader is None
        torch.manual_seed(0)
        learn_from_pairs(learner, pairs(8), options(name, **chosen), lambda text: None)
        ends.append(torch.cat([weight.detach().flatten() for weight in learner.model.parameters()]))
    assert torch.equal(*ends)


def test_a_reward_model_whose_texts_end_in_padding_tokens_is_read_where_transformers_reads_it() -> None:
    learner, plain = lesson("reward_model"), lesson("reward_model", packing="none")
    for each in (learner, plain):
        each.tokenizer.pad_token = "good"
        each.model.config.pad_token_id = each.tokenizer.pad_token_id
    found, expected = (float(each.loss_sum(pairs(20)).detach()) for each in (learner, plain))
    assert found == pytest.approx(expected, rel=1e-5)
