"""What reward and evaluator are told and say; where one fails, the batch goes with the message."""

import math
import sys
from types import SimpleNamespace

import pytest
import torch

from safelab.errors import RewardFailed, RunFailed
from safelab.training.components import Components
from safelab.training.rewards import score_greedy, score_rewards
from safelab.types import Greedy
from support import toy


def rewarding(score, gold=None) -> Components:
    return toy.parts(
        reward=SimpleNamespace(score=score), evaluator=SimpleNamespace(score=lambda prompts, responses, ended: gold)
    )


def test_reward_and_gold_score_see_the_texts() -> None:
    seen = []

    def score(prompts, responses, ended):
        seen.append((prompts, responses, ended))
        return [0.5, 1.5, -1.0]

    reward, gold = score_rewards(rewarding(score, gold=[3.0, 2.0, 1.0]), toy.rollout())
    assert (reward.tolist(), gold.tolist()) == ([0.5, 1.5, -1.0], [3.0, 2.0, 1.0])
    names = [tuple(f"{name} {row}" for row in range(3)) for name in ("prompt", "response")]
    assert seen == [(*map(list, names), [False, True, True])]
    assert score_rewards(rewarding(score), toy.rollout())[1] is None


def test_greedy_responses_are_scored_where_there_are_any() -> None:
    greedy = Greedy(responses=("x", "yy", "zzz"), ended_seq=torch.ones(3, dtype=torch.bool))
    parts = rewarding(lambda prompts, responses, ended: [float(len(response)) for response in responses])
    assert score_greedy(parts, toy.rollout(greedy=greedy)).tolist() == [1.0, 2.0, 3.0]
    assert score_greedy(parts, toy.rollout()) is None


def raises(prompts, responses, ended):
    raise RunFailed("the server is gone")


@pytest.mark.parametrize(
    ("score", "said"),
    [
        (raises, "the server is gone"),
        (lambda prompts, responses, ended: [0.0, math.nan, 0.0], "must return finite numbers, got nan for 'prompt 1'"),
        (lambda prompts, responses, ended: [0.0, 0.0, -math.inf], "got -inf for 'prompt 2'"),
        (lambda prompts, responses, ended: [0.0, 0.0, 1e39], "at most 3.4e"),
        (lambda prompts, responses, ended: None, "reward SimpleNamespace must return a list .*, got None"),
        (lambda prompts, responses, ended: "abc", "got 'abc'"),
        (lambda prompts, responses, ended: [0.0], "got 1 for 3"),
        (lambda prompts, responses, ended: {}["x"], r"raised KeyError: 'x' \(.*test_rewards.py, line \d+: .*\)"),
        (lambda prompts, responses, ended: sys.exit(0), r"raised SystemExit: 0 \(.*test_rewards.py, line \d+: .*\)"),
    ],
)
def test_a_reward_that_fails_says_so_and_carries_the_batch(score, said: str) -> None:
    with pytest.raises(RewardFailed, match=said) as failed:
        score_rewards(rewarding(score), toy.rollout())
    assert failed.value.batch["prompts"] == ("prompt 0", "prompt 1", "prompt 2")
    assert failed.value.batch["responses"] == ("response 0", "response 1", "response 2")


def test_the_traceback_of_what_a_reward_raised_goes_with_the_batch() -> None:
    with pytest.raises(RewardFailed) as failed:
        score_rewards(rewarding(lambda prompts, responses, ended: {}["absent"]), toy.rollout())
    assert "KeyError: 'absent'" in failed.value.batch["traceback"][-1]
    assert isinstance(failed.value.__cause__, KeyError)


def test_an_evaluator_that_fails_is_told_like_a_reward() -> None:
    for gold, said in (([1.0], "got 1 for 3"), ([0.0, "a", 0.0], "got 'a' for 'prompt 1'")):
        with pytest.raises(RewardFailed, match=f"^evaluator SimpleNamespace must return .*{said}"):
            score_rewards(rewarding(lambda prompts, responses, ended: [0.0] * 3, gold), toy.rollout())
