"""Who says which answer is the better one: a judge, and noise; by hand, and against the share that was asked for."""

import pytest
import torch

from safelab.errors import ConfigError, DataError
from safelab.supervised.labels import Labels, labels_of, noisy, preferred, swapped
from safelab.types import Pair
from support.lessons import lesson, options
from support.models import model_directory
from support.pairs import pairs

PAIR = Pair(prompt="p", chosen="a", rejected="b", chosen_ended=True, rejected_ended=False)
CPU = torch.device("cpu")
TURNED = Pair(prompt="p", chosen="b", rejected="a", chosen_ended=False, rejected_ended=True)


def test_a_pair_changes_over_with_the_ends_of_its_answers() -> None:
    assert swapped(PAIR) == TURNED
    assert swapped(TURNED) == PAIR


def test_the_higher_score_is_chosen_and_a_tie_has_no_better_answer() -> None:
    assert preferred([PAIR, PAIR, PAIR], [1.0, -1.0, 0.0]) == [PAIR, TURNED]


def test_noise_changes_over_the_share_that_it_says() -> None:
    some = pairs(4000)
    made = noisy(some, 0.25, seed=0)
    turned = sum(new != old for new, old in zip(made, some, strict=True))
    # Binomial: 1000 +- 27 in one standard deviation.
    assert turned == pytest.approx(1000, abs=5 * 27)
    assert all(new in (old, swapped(old)) for new, old in zip(made, some, strict=True))


def test_noise_is_the_seeds_and_none_changes_nothing() -> None:
    some = pairs(200)
    assert noisy(some, 0.0, seed=0) == some
    assert noisy(some, 0.5, seed=1) == noisy(some, 0.5, seed=1) != noisy(some, 0.5, seed=2)


def test_a_judge_names_the_better_answer_on_both_sides_and_noise_is_on_the_first_alone(tmp_path) -> None:
    judge = lesson("reward_model", seed=5)
    judge.model.save_pretrained(tmp_path)
    judge.tokenizer.save_pretrained(tmp_path)
    sides, said = [pairs(12), pairs(8, seed=3)], []
    labels = {"path": str(tmp_path), "noise": 0.0}
    learnt, held_out = labels_of(options("reward_model", labels=labels), CPU).named(sides, said.append)
    for before, after in zip(sides, (learnt, held_out), strict=True):
        assert all(new in (old, swapped(old)) for old, new in zip(before, after, strict=True))
        assert (judge.margins(after) >= 0).all()
    turned = sum(old != new for old, new in zip([*sides[0], *sides[1]], [*learnt, *held_out], strict=True))
    assert said == [f"labels.path: the model prefers the other answer in {turned} of 20 pairs"]
    assert 0 < turned < 20

    half = options("reward_model", labels={**labels, "noise": 0.5})
    noised, same = labels_of(half, CPU).named(sides, said.append)
    assert noised != learnt
    assert same == held_out


def test_a_language_model_is_no_judge() -> None:
    chosen = options("reward_model", labels={"path": str(model_directory()), "noise": 0.0})
    with pytest.raises(ConfigError, match=r"labels\.path must"):
        labels_of(chosen, CPU)


def test_a_judge_that_prefers_nothing_has_nothing_to_teach() -> None:
    judge = lesson("reward_model")
    judge.model.score.weight.data.zero_()
    said: list[str] = []
    with pytest.raises(DataError, match="got equal scores in 5 of 5 pairs"):
        Labels(options("reward_model"), judge).named([pairs(3), pairs(2)], said.append)
    assert said[1] == "labels.path: it scores both answers alike in 5 of 5 pairs, which are left out"
