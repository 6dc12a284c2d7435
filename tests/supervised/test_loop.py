"""Both losses against naive loops over single answers, the batch's cut, and that something is learnt."""

import math
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from safelab.errors import DataError
from safelab.supervised.loop import (
    PairOptions,
    RewardModelOptions,
    SupervisedOptions,
    batches_of,
    learn,
    slope,
    split,
)
from safelab.supervised.models import load_reward_model, load_sft, load_value_model
from safelab.supervised.pair_tasks import BradleyTerry, Sft, answer_row
from support.models import model_directory
from support.pairs import pairs

CONF = Path(__file__).parents[2] / "conf"
CPU = torch.device("cpu")


def options(name: str = "sft", **changes: Any) -> Any:
    values = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    kind = RewardModelOptions if name == "reward_model" else SupervisedOptions
    own = {key: value for key, value in values.items() if key not in ("defaults", "hydra")}
    return kind(**{**own, "model": str(model_directory()), "output": "unused", **changes})


def sft(**changes: Any) -> Sft:
    return load_sft(options(**changes), CPU)


def classifier(**changes: Any) -> BradleyTerry:
    return load_reward_model(options("reward_model", **changes), CPU)


def test_the_sft_loss_is_the_naive_sum_over_answer_tokens_and_the_end() -> None:
    task, some = sft(), pairs(5)
    model = AutoModelForCausalLM.from_pretrained(model_directory()).double().eval()
    tokenizer = AutoTokenizer.from_pretrained(model_directory())
    expected, count = 0.0, 0
    for pair in some:
        prompt = tokenizer(pair.prompt)["input_ids"]
        answer = [*tokenizer(pair.chosen)["input_ids"], tokenizer.eos_token_id]
        for position in range(len(answer)):
            with torch.no_grad():
                logits = model(torch.tensor([prompt + answer[:position]])).logits[0, -1]
            expected -= float(logits.log_softmax(-1)[answer[position]])
            count += 1
    assert task.count(some) == count
    assert float(task.loss_sum(some).detach()) == pytest.approx(expected, rel=1e-5)
    assert task.measure(some, 2)["loss_held_out"] == pytest.approx(expected / count, rel=1e-5)


def test_prompts_and_rejected_answers_do_not_reach_the_sft_loss() -> None:
    task, (pair,) = sft(), pairs(1)
    assert torch.equal(task.loss_sum([replace(pair, rejected=" f")]), task.loss_sum([pair]))
    whole_prompt, whole_answer = answer_row(task.tokenizer, pair.prompt, pair.chosen, 512)
    prompt, answer = answer_row(task.tokenizer, pair.prompt, pair.chosen, 4)
    assert len(prompt) + len(answer) == 4
    assert prompt == whole_prompt[-len(prompt) :]
    assert answer == whole_answer[: len(answer)]


def test_the_reward_models_loss_and_accuracy_against_one_answer_at_a_time() -> None:
    task, some = classifier(), pairs(7)

    def z(text: str) -> float:
        with torch.no_grad():
            return float(task.model(torch.tensor([task.tokenizer(text)["input_ids"]])).logits)

    margins = [z(pair.prompt + pair.chosen) - z(pair.prompt + pair.rejected) for pair in some]
    expected = [math.log1p(math.exp(-margin)) for margin in margins]
    assert float(task.loss_sum(some).detach()) == pytest.approx(sum(expected), rel=1e-5)
    accuracy = sum(margin > 0 for margin in margins) / 7
    measured = task.measure(some, 3)
    assert measured["accuracy_held_out"] == pytest.approx(accuracy)
    assert measured["loss_held_out"] == pytest.approx(sum(expected) / 7, rel=1e-5)
    assert measured["accuracy_half_width_95"] == pytest.approx(1.96 * math.sqrt(accuracy * (1 - accuracy) / 7))


def test_a_head_that_is_drawn_depends_on_the_seed_only() -> None:
    torch.manual_seed(1)
    first = classifier().model.score.weight
    torch.manual_seed(2)
    assert torch.equal(classifier().model.score.weight, first)
    assert not torch.equal(classifier(seed=1).model.score.weight, first)


@pytest.mark.parametrize(
    ("name", "load"), [("sft", load_sft), ("reward_model", load_reward_model), ("value_model", load_value_model)]
)
def test_micro_batches_move_no_number(name: str, load: Any) -> None:
    ends = []
    for size in (1, 8):
        chosen = options(name, micro_batch_size=size, batch_size=8, lr=0.01, epochs=1)
        task = load(chosen, CPU)
        rows = learn(task, pairs(16), chosen, lambda text: None)
        ends.append((rows, torch.cat([weight.detach().flatten() for weight in task.model.parameters()])))
    assert [row["loss"] for row in ends[0][0]] == pytest.approx([row["loss"] for row in ends[1][0]], rel=1e-5)
    # Adam divides by a gradient that may be tiny, which lets rounding through.
    assert torch.allclose(ends[0][1], ends[1][1], atol=1e-4)


def test_a_reward_model_learns_what_the_pairs_say() -> None:
    chosen = options("reward_model", lr=0.01, batch_size=16)
    task = load_reward_model(chosen, CPU)
    learn(task, pairs(320), chosen, lambda text: None)
    assert task.measure(pairs(100, seed=1), 50)["accuracy_held_out"] > 0.95


def test_sft_learns_to_write_the_better_answer() -> None:
    chosen = options(lr=0.01, batch_size=16)
    task = load_sft(chosen, CPU)
    held_out = pairs(50, seed=1)
    before = task.measure(held_out, 50)["loss_held_out"]
    rows = learn(task, pairs(320), chosen, lambda text: None)
    # Of four tokens one is the end, one "good", two are context words: word frequencies alone cost 1.94 nats.
    frequencies = 0.5 * math.log(4) + 0.5 * math.log(12)
    assert task.measure(held_out, 50)["loss_held_out"] < frequencies < before
    assert len(rows) == 20


def test_every_pair_comes_once_per_epoch_in_a_new_order() -> None:
    some = pairs(10)
    batches = list(batches_of(some, options(epochs=2, batch_size=4)))
    assert [len(batch) for batch in batches] == [4, 4, 2, 4, 4, 2]
    first, second = list(chain(*batches[:3])), list(chain(*batches[3:]))
    assert sorted(map(repr, first)) == sorted(map(repr, second)) == sorted(map(repr, some))
    assert first != second


def test_the_schedule_by_hand() -> None:
    assert [slope(step, 1, 5) for step in range(6)] == [0.5, 1.0, 0.75, 0.5, 0.25, 0.0]


def test_what_is_held_out_is_not_learnt_from() -> None:
    some = pairs(10)
    plain = {"path": "x", "subset": "x", "split": "train"}
    train, held = split(some, PairOptions(**plain, limit=6, held_out=2))
    assert (train, held) == (some[:4], some[4:6])
    with pytest.raises(DataError, match=r"got 2 records with pairs\.held_out=2"):
        split(some, PairOptions(**plain, limit=2, held_out=2))
