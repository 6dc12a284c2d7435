import math

import numpy as np
import pandas as pd
import pytest

from safelab.errors import DataError
from safelab.results.runs.measures import MEASURES, chosen, final_of, final_rows
from safelab.results.runs.metrics import around_rolling_mean, crash_updates, summarise


def frame(**columns: list[float]) -> pd.DataFrame:
    length = len(next(iter(columns.values())))
    return pd.DataFrame({"update": range(length), **{name.replace("__", "/"): v for name, v in columns.items()}})


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (10, 1), (11, 2), (150, 15), (2000, 200)])
def test_the_last_tenth(count: int, rows: int) -> None:
    assert final_rows(count) == rows


def test_a_run_by_hand() -> None:
    reward = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]
    run = frame(
        reward__mean=reward,
        kl__ref_token_exact=[0.0, 5.0] + [1.0] * 9,
        policy__entropy_token=[2.0] * 9 + [1.0, 3.0],
        reward__gold_mean=[1.0] * 5 + [3.0] * 3 + [0.0] * 3,
        speed__tokens_per_s=[100.0] * 10 + [1e6],
    )
    found = summarise(run, MEASURES, window=3)
    assert found["reward_mean"] == 5.0
    assert found["reward_final"] == 9.5  # the last two of eleven
    assert found["reward_sd"] == pytest.approx(math.sqrt(11.0))  # 110 / 10
    assert found["reward_sd_rolling"] == pytest.approx(0.0, abs=1e-12)  # a straight line has no noise
    assert (found["kl_max"], found["kl_final"]) == (5.0, 1.0)
    assert found["kl_mean"] == pytest.approx(14 / 11)
    assert found["entropy_final"] == 2.0
    assert found["gold_gap"] == 3.0  # peak of the mean over three is 3, the end is 0
    assert found["tokens_per_s"] == 100.0
    assert found["length_final"] is None


def test_noise_around_the_rolling_mean_by_hand() -> None:
    # windows (0,3,0) (3,0,3) (0,3,0): means 1, 2, 1; residuals 2, -2, 2
    residual = around_rolling_mean(np.array([0.0, 3.0, 0.0, 3.0, 0.0]), 3)
    assert residual.tolist() == [2.0, -2.0, 2.0]
    found = summarise(frame(reward__mean=[0.0, 3.0, 0.0, 3.0, 0.0]), MEASURES, 3)
    assert found["reward_sd_rolling"] == pytest.approx(math.sqrt(16 / 3))  # mean 2/3, squares 16/9 + 64/9 + 16/9, / 2


@pytest.mark.parametrize("window", [2, 5, 10])
def test_the_rolling_mean_is_centred_as_pandas_has_it(window: int) -> None:
    values = np.random.default_rng(1).normal(size=40)
    series = pd.Series(values)
    expected = (series - series.rolling(window, center=True).mean()).dropna().to_numpy()
    assert around_rolling_mean(values, window) == pytest.approx(expected, abs=1e-12)


def test_a_trend_adds_nothing_to_the_noise_around_the_rolling_mean() -> None:
    noise = np.random.default_rng(0).normal(size=200)
    trend = noise + np.linspace(0, 50, 200)
    assert around_rolling_mean(trend, 11).std() == pytest.approx(around_rolling_mean(noise, 11).std(), abs=1e-9)
    assert trend.std() > 10 * noise.std()


def test_what_is_missing_is_none_and_what_is_short_has_no_deviation() -> None:
    assert set(summarise(pd.DataFrame({"update": []}), MEASURES, 5).values()) == {None}
    one = summarise(frame(reward__mean=[0.5]), MEASURES, 5)
    assert (one["reward_mean"], one["reward_sd"], one["reward_sd_rolling"]) == (0.5, None, None)


def test_rows_without_the_metric_do_not_count_as_zero() -> None:
    assert summarise(frame(reward__mean=[1.0, math.nan, 3.0]), MEASURES, 5)["reward_mean"] == 2.0


def test_crashes_are_the_updates_at_which_they_begin() -> None:
    run = pd.DataFrame({"update": [3, 4, 5], "crash/reward": [0.0, 1.0, 1.0], "crash/kl_spike": [0.0, 0.0, np.nan]})
    assert crash_updates(run) == {"crash/reward": [4, 5], "crash/kl_spike": []}


def test_a_metric_of_the_log_can_be_asked_for() -> None:
    first = chosen(["policy/grad_norm", "kl_final"], ["policy/grad_norm"])[:2]
    assert [measure.key for measure in first] == ["policy/grad_norm", "kl_final"]
    run = frame(policy__grad_norm=[1.0] * 10 + [3.0, 5.0])
    assert summarise(run, [final_of("policy/grad_norm")], 5) == {"policy/grad_norm": 4.0}


def test_an_unknown_metric_is_one_message_with_the_nearest_name() -> None:
    with pytest.raises(DataError, match=r"--metric .* got 'kl_finl'; did you mean 'kl_final'\?"):
        chosen(["kl_finl"], ["reward/mean"])


def test_keys_are_unique() -> None:
    assert len({measure.key for measure in MEASURES}) == len(MEASURES)
