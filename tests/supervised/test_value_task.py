"""The value model's loss and accuracies against one answer at a time, and that it learns where the good word stands."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from safelab.errors import ConfigError
from safelab.supervised.loop import SupervisedOptions, learn
from safelab.supervised.models import load_value_model
from safelab.supervised.value_task import TokenValue
from support.models import model_directory, value_model_directory
from support.pairs import pairs

CONF = Path(__file__).parents[2] / "conf"


def options(**changes: Any) -> SupervisedOptions:
    values = yaml.safe_load((CONF / "value_model.yaml").read_text())
    own = {key: value for key, value in values.items() if key not in ("defaults", "hydra")}
    return SupervisedOptions(**{**own, "model": str(model_directory()), "output": "unused", **changes})


def loaded(**changes: Any) -> TokenValue:
    task = load_value_model(options(**changes), torch.device("cpu"))
    task.model.eval()
    return task


def states(task: TokenValue, prompt: str, answer: str) -> list[float]:
    """V at the prompt's end and after every token of the answer, its end token included."""
    start = task.tokenizer(prompt)["input_ids"]
    rest = [*task.tokenizer(answer)["input_ids"], task.tokenizer.eos_token_id]
    with torch.no_grad():
        values = task.model(torch.tensor([start + rest])).logits[0, :, 0].tolist()
    return values[len(start) - 1 :]


def test_loss_and_accuracies_against_one_answer_at_a_time() -> None:
    task, some = loaded(model=str(value_model_directory())), pairs(9)
    better = [states(task, pair.prompt, pair.chosen) for pair in some]
    worse = [states(task, pair.prompt, pair.rejected) for pair in some]
    expected = sum(0.5 * (v - 1.0) ** 2 for row in better for v in row)
    expected += sum(0.5 * (v + 1.0) ** 2 for row in worse for v in row)
    count = sum(map(len, better + worse))
    assert task.count(some) == count
    assert float(task.loss_sum(some).detach()) == pytest.approx(expected, rel=1e-5)
    measured = task.measure(some, 4)
    assert measured["loss_held_out"] == pytest.approx(expected / count, rel=1e-5)
    last = sum(up[-1] > down[-1] for up, down in zip(better, worse, strict=True)) / 9
    mean = sum(sum(up) / len(up) > sum(down) / len(down) for up, down in zip(better, worse, strict=True)) / 9
    assert measured["accuracy_last_held_out"] == pytest.approx(last)
    assert measured["accuracy_mean_held_out"] == pytest.approx(mean)
    assert 0 < last < 1


def test_it_begins_at_zero_and_without_dropout() -> None:
    task = loaded()
    task.model.train()
    values, _ = task.values(pairs(3))
    assert values.abs().max() == 0
    kept = loaded(model=str(value_model_directory()))
    quiet = kept.values(pairs(3))[0]
    kept.model.train()
    assert torch.equal(kept.values(pairs(3))[0], quiet)


def test_it_learns_after_which_token_an_answer_is_the_better_one() -> None:
    chosen = options(lr=0.01, batch_size=16)
    task = load_value_model(chosen, torch.device("cpu"))
    learn(task, pairs(320), chosen, lambda text: None)
    assert task.measure(pairs(100, seed=1), 50)["accuracy_last_held_out"] > 0.95
    prompt = pairs(1)[0].prompt
    good, bad = states(task, prompt, " a good b"), states(task, prompt, " a bad b")
    # The prompt's end and the first word say nothing yet; then the labels are +1 and -1.
    assert max(abs(value) for value in good[:2]) < 0.5
    assert min(good[2:]) > 0.6
    assert max(bad[2:]) < -0.6


def test_a_model_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="model must be a directory or hub name that loads, got 'nowhere/at/all'"):
        loaded(model="nowhere/at/all")
