"""The reward model's loss and accuracy against one answer at a time, and that it learns what the pairs say."""

import math
import statistics

import pytest
import torch
from scipy import stats

from safelab.supervised.bradley_terry import bradley_terry_loss
from safelab.supervised.pairs import learn_from_pairs
from safelab.supervised.rows import cut
from support.lessons import lesson, options
from support.pairs import pairs


def test_the_loss_and_the_accuracy_against_one_answer_at_a_time() -> None:
    learner, some = lesson("reward_model"), pairs(7)

    def z(text: str) -> float:
        with torch.no_grad():
            return float(learner.model(torch.tensor([learner.tokenizer(text)["input_ids"]])).logits)

    every = [z(pair.prompt + answer) for pair in some for answer in (pair.chosen, pair.rejected)]
    margins = [z(pair.prompt + pair.chosen) - z(pair.prompt + pair.rejected) for pair in some]
    expected = [math.log1p(math.exp(-margin)) for margin in margins]
    assert float(learner.loss_sum(some).detach()) == pytest.approx(sum(expected), rel=1e-5)
    accuracy = sum(margin > 0 for margin in margins) / 7
    measured = learner.measure(cut(some, 3))
    assert measured["accuracy_held_out"] == pytest.approx(accuracy)
    assert measured["loss_held_out"] == pytest.approx(sum(expected) / 7, rel=1e-5)
    assert measured["score_mean_held_out"] == pytest.approx(sum(every) / 14, rel=1e-5)
    assert measured["score_sd_held_out"] == pytest.approx(statistics.stdev(every), rel=1e-5)
    theirs = stats.binomtest(round(accuracy * 7), 7).proportion_ci(method="wilson")
    assert (measured["accuracy_low_95"], measured["accuracy_high_95"]) == pytest.approx((theirs.low, theirs.high))


def test_a_model_that_says_nothing_is_a_tie_which_counts_half() -> None:
    learner = lesson("reward_model")
    learner.model.score.weight.data.zero_()
    measured = learner.measure(cut(pairs(3), 3))
    assert measured["accuracy_held_out"] == 0.5
    assert measured["loss_held_out"] == pytest.approx(math.log(2.0))


def test_the_loss_by_hand_and_its_gradient() -> None:
    margin = torch.tensor([0.0, math.log(3.0), -60.0], dtype=torch.float64, requires_grad=True)
    loss = bradley_terry_loss(margin)
    assert loss.tolist() == pytest.approx([math.log(2.0), math.log(4.0 / 3.0), 60.0])
    loss.sum().backward()
    # The share that the model still gives to the rejected answer.
    assert margin.grad is not None
    assert margin.grad.tolist() == pytest.approx([-0.5, -0.25, -1.0])


def test_it_learns_what_the_pairs_say() -> None:
    learner = lesson("reward_model")
    learn_from_pairs(learner, pairs(320), options("reward_model", lr=0.01, batch_size=16), lambda text: None)
    assert learner.measure(cut(pairs(100, seed=1), 50))["accuracy_held_out"] > 0.95
