import math

import pytest

from safelab.crash.row import Row


def row(**metrics):
    return Row(metrics={name.replace("__", "/"): value for name, value in metrics.items()}, batch_size=8)


def test_a_metric_is_a_float_and_none_where_it_has_no_value():
    found = row(reward__min=1, reward__max=None)
    assert [found.number(name) for name in ("reward/min", "reward/max", "reward/mean")] == [1.0, None, None]


@pytest.mark.parametrize(
    ("mean", "deviation", "judged"),
    [(0.5, 0.1, True), (0.5, 0.0, True), (0.5, math.nan, False), (math.nan, math.nan, True), (None, 0.1, False)],
)
def test_a_reward_needs_a_deviation_unless_it_is_not_finite_itself(mean, deviation, judged):
    assert (row(reward__mean=mean, reward__std=deviation).reward() is not None) is judged
