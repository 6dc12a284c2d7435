import math
from dataclasses import replace

import pytest
import torch

from safelab.maths.triage import INVERT, PUNISH, RETAIN
from safelab.plugins import build_option
from safelab.types import PairBatch
from support.models import context
from support.pair_batches import pair_batch

REFERENCE = [math.log(0.45 * 0.25 * 0.8), math.log(0.35 * 0.2)]
POLICY = torch.tensor([math.log(0.6 * 0.3 * 0.85), math.log(0.3 * 0.02)], dtype=torch.float64)


def trace(**changes):
    option = {
        "name": "trace",
        "beta": 0.3,
        "kl_coef": 0.1,
        "triage": "by_score",
        "invert_margin": 0.1,
        "punish_below": -0.2,
        "oracle_invert_margin": 1.0,
        "oracle_punish_below": -2.0,
        "weights": "influence",
        "weight_sum": "pairs",
        "gold_pairs": 64,
        **changes,
    }
    return build_option("preference", option, context())


def batch_of(buckets: list[int], influence: list[float]) -> PairBatch:
    return replace(
        pair_batch([REFERENCE] * len(buckets)),
        bucket=torch.tensor(buckets),
        influence=torch.tensor(influence, dtype=torch.float64),
    )


def test_by_worked_numbers() -> None:
    batch = batch_of([INVERT, PUNISH, RETAIN], [1.0, 1.0, 0.0])
    value = trace().loss_pair(POLICY.expand(3, 2), batch)
    expected = torch.tensor([1.238460, 1.166959, 0.0], dtype=torch.float64)
    torch.testing.assert_close(value, expected, atol=1e-6, rtol=0)


def test_a_pair_counts_what_it_weighs_and_a_retained_one_nothing() -> None:
    batch = batch_of([INVERT, INVERT, PUNISH, RETAIN], [0.5, 0.0, 2.0, 1.0])
    logp = POLICY.expand(4, 2).clone().requires_grad_()
    value = trace().loss_pair(logp, batch)
    value.sum().backward()
    torch.testing.assert_close(value[0], torch.tensor(0.5 * 1.238460, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(value[2], torch.tensor(2.0 * 1.166959, dtype=torch.float64), atol=1e-6, rtol=0)
    assert logp.grad[1].tolist() == logp.grad[3].tolist() == [0.0, 0.0]
    assert logp.grad[0, 0] > 0 > logp.grad[0, 1]


def test_reward_and_oracle_have_thresholds_of_their_own() -> None:
    score = torch.tensor([[0.0, 0.5], [-1.0, -1.0]])
    assert trace().bucket(score).tolist() == [INVERT, PUNISH]
    assert trace().oracle_bucket(score).tolist() == [RETAIN, RETAIN]


def test_the_implied_reward_is_beta_times_the_log_ratio() -> None:
    assert trace().implied_reward(torch.tensor([[2.0, -1.0]])).tolist()[0] == pytest.approx([0.6, -0.3])
