"""The value model's loss and accuracies against one answer at a time, and that it learns where the good word stands."""

import pytest
import torch

from safelab.supervised.pairs import learn_from_pairs
from safelab.supervised.rows import Row, cut
from safelab.supervised.token_value import TokenValue, last_value, state_values
from support.lessons import lesson, options
from support.models import value_model_directory
from support.pairs import pairs


def states(learner: TokenValue, prompt: str, answer: str) -> list[float]:
    """V at the prompt's end and after every token of the answer, its end token included."""
    start = learner.tokenizer(prompt)["input_ids"]
    rest = [*learner.tokenizer(answer)["input_ids"], learner.tokenizer.eos_token_id]
    with torch.no_grad():
        values = learner.model(torch.tensor([start + rest])).logits[0, :, 0].tolist()
    return values[len(start) - 1 :]


def test_loss_and_accuracies_against_one_answer_at_a_time() -> None:
    learner, some = lesson("value_model", model=str(value_model_directory())), pairs(9)
    better = [states(learner, pair.prompt, pair.chosen) for pair in some]
    worse = [states(learner, pair.prompt, pair.rejected) for pair in some]
    expected = sum(0.5 * (v - 1.0) ** 2 for row in better for v in row)
    expected += sum(0.5 * (v + 1.0) ** 2 for row in worse for v in row)
    count = sum(map(len, better + worse))
    assert learner.count(some) == count
    assert float(learner.loss_sum(some).detach()) == pytest.approx(expected, rel=1e-5)
    measured = learner.measure(cut(some, 4))
    assert measured["loss_held_out"] == pytest.approx(expected / count, rel=1e-5)
    last = sum(up[-1] > down[-1] for up, down in zip(better, worse, strict=True)) / 9
    mean = sum(sum(up) / len(up) > sum(down) / len(down) for up, down in zip(better, worse, strict=True)) / 9
    assert measured["accuracy_last_held_out"] == pytest.approx(last)
    assert measured["accuracy_mean_held_out"] == pytest.approx(mean)
    assert 0 < last < 1


def test_a_model_that_says_nothing_is_a_tie_which_counts_half() -> None:
    measured = lesson("value_model").measure(cut(pairs(3), 2))
    assert measured["accuracy_last_held_out"] == measured["accuracy_mean_held_out"] == 0.5
    assert measured["loss_held_out"] == 0.5


def test_states_and_last_value_where_rows_differ_in_length() -> None:
    learner = lesson("value_model", model=str(value_model_directory()))
    rows = [Row([3, 4, 5], [9, 1]), Row([6], [10, 3, 4, 1]), Row([7, 8], [])]
    values, seen = state_values(learner.model, rows)
    assert seen.int().tolist() == [[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 1, 0, 0, 0]]
    assert last_value(values, seen).tolist() == [values[0, 4].item(), values[1, 4].item(), values[2, 1].item()]


def test_it_learns_after_which_token_an_answer_is_the_better_one() -> None:
    learner = lesson("value_model")
    learn_from_pairs(learner, pairs(320), options("value_model", lr=0.01, batch_size=16), lambda text: None)
    assert learner.measure(cut(pairs(100, seed=1), 50))["accuracy_last_held_out"] > 0.95
    prompt = pairs(1)[0].prompt
    good, bad = states(learner, prompt, " a good b"), states(learner, prompt, " a bad b")
    # The prompt's end and the first word say nothing yet; then the labels are +1 and -1.
    assert max(abs(value) for value in good[:2]) < 0.5
    assert min(good[2:]) > 0.6
    assert max(bad[2:]) < -0.6
