"""Tau against scipy's, the interval against its coverage, and what is printed of two studies made by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from safelab.results.compare.statistics import estimate
from scripts.studies import ranking


@pytest.mark.parametrize("right", [[1.0, 3.0, 5.0, 4.0], [1.0, 1.0, 5.0, 4.0], [9.0, 4.0, 2.0, 1.0]])
def test_tau_is_scipys(right: list[float]) -> None:
    left = [0.1, 0.4, 0.2, 0.9]
    assert float(ranking.tau_of(np.array(left), np.array(right))) == pytest.approx(stats.kendalltau(left, right)[0])


def test_a_difference_of_two_arms_has_its_paired_t_interval() -> None:
    values = np.random.default_rng(0).normal(size=(4, 3)) + np.array([0.0, 1.0, 5.0])
    drawn = ranking.means_drawn(values, 200_000, np.random.default_rng(1))
    found = estimate([*(values[:, 0] - values[:, 1])])
    low, high = np.quantile(drawn[:, 0] - drawn[:, 1], [0.025, 0.975])
    assert (low, high) == (pytest.approx(found.low, abs=0.03), pytest.approx(found.high, abs=0.03))


def test_the_interval_holds_the_true_tau_of_three_seeds_as_often_as_it_says() -> None:
    generator = np.random.default_rng(2)
    left, right = np.array([0.0, 1.0, 2.0, 3.0, 4.0]), np.array([0.0, 1.0, 2.0, 4.0, 3.0])
    held = 0
    for _ in range(200):
        studies = [means + 0.7 * generator.normal(size=(3, 5)) for means in (left, right)]
        low, high = ranking.tau_interval(*studies, draws=400)
        held += low <= 0.8 <= high
    assert held >= 186  # 95 % of 200, less one standard deviation and a half


def test_one_seed_has_no_interval() -> None:
    assert ranking.tau_interval(np.zeros((1, 3)), np.zeros((3, 3))) == (None, None)


def study(folder: Path, rewards: dict[str, list[float]]) -> Path:
    rows = [
        {"arm": arm, "seed": seed, "counted": True, "reward_mean [reward]": value}
        for arm, values in rewards.items()
        for seed, value in enumerate(values)
    ]
    rows.append({"arm": "a", "seed": 9, "counted": False, "reward_mean [reward]": 99.0})
    (folder / "report").mkdir(parents=True)
    pd.DataFrame(rows).to_csv(folder / "report" / "runs.csv")
    return folder


def test_only_arms_and_seeds_that_all_have_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = study(tmp_path / "small", {"a": [1.0, 1.2, 1.1], "b": [0.5, 0.6, 0.65], "only_here": [3.0, 3.0, 3.0]})
    real = study(tmp_path / "real", {"a": [2.0, 2.1], "b": [3.0, 3.101]})
    ranking.main([str(small), str(real)])
    told = capsys.readouterr().out
    assert told.startswith("reward_mean: tau −1.00 [−1.00, −1.00] over 2 arms, 3 and 2 seeds\n| pair")
    assert "| `a` − `b` | +0.517 [" in told
    assert told.rstrip().endswith("| no |")


def test_a_pair_whose_interval_holds_0_is_not_decided(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = study(tmp_path / "small", {"a": [1.0, 1.2, 1.1], "b": [0.5, 0.6, 0.65]})
    real = study(tmp_path / "real", {"a": [2.0, 4.0], "b": [3.0, 3.1]})
    ranking.main([str(small), str(real)])
    assert capsys.readouterr().out.rstrip().endswith("| not decided |")


@pytest.mark.parametrize(
    ("metric", "arms", "said"),
    [
        ("reward_maen", {"a": [1.0], "b": [2.0]}, "did you mean 'reward_mean'"),
        ("reward_mean", {"a": [1.0]}, "two arms in common, got a"),
    ],
)
def test_mistakes_end_in_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str], metric, arms, said) -> None:
    study(tmp_path / "x", arms)
    with pytest.raises(SystemExit) as left:
        ranking.main([str(tmp_path / "x"), str(tmp_path / "x"), "--metric", metric])
    assert left.value.code == 2
    assert said in capsys.readouterr().err


def test_a_study_without_a_report_is_told_how_to_write_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        ranking.main([str(tmp_path), str(tmp_path)])
    assert f"safelab report {tmp_path}" in capsys.readouterr().err
