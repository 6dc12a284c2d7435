"""Tau by counting pairs, and what is printed of two studies made by hand."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scripts.studies import ranking


def counted(left: list[float], right: list[float]) -> float:
    pairs = list(combinations(range(len(left)), 2))
    signs = [np.sign((left[i] - left[j]) * (right[i] - right[j])) for i, j in pairs]
    return float(sum(signs) / len(pairs))


def test_tau_by_counting_pairs() -> None:
    left, right = [0.1, 0.4, 0.2, 0.9], [1.0, 3.0, 5.0, 4.0]
    assert ranking.tau_of(np.array(left), np.array(right)) == pytest.approx(counted(left, right))
    assert ranking.tau_of(np.array(left), np.array(left)) == 1.0
    assert ranking.tau_of(np.array(left), -np.array(left)) == -1.0


def test_arms_that_are_far_apart_are_ranked_alike_in_every_draw_and_not_where_seeds_disagree() -> None:
    far = np.array([[0.0, 1.0, 2.0], [0.1, 1.1, 2.1]])
    assert (ranking.resampled(far, far, draws=50) == 1.0).all()
    # Two seeds that rank the arms the other way round: which is drawn twice decides.
    torn = np.array([[0.0, 1.0, 2.0], [2.1, 1.0, 0.0]])
    drawn = ranking.resampled(torn, far, draws=200)
    assert (drawn.min(), drawn.max()) == (-1.0, 1.0)


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


def test_only_arms_and_seeds_that_all_have_are_compared(tmp_path: Path, capsys) -> None:
    small = study(tmp_path / "small", {"a": [1.0, 1.2, 1.1], "b": [0.5, 0.6, 0.7], "only_here": [3.0, 3.0, 3.0]})
    real = study(tmp_path / "real", {"a": [2.0, 2.1], "b": [3.0, 3.2]})
    ranking.main([str(small), str(real)])
    told = capsys.readouterr().out
    assert told.startswith("reward_mean: tau −1.00 [−1.00, −1.00] over 2 arms, 3 and 2 seeds\n| pair")
    assert "| `a` − `b` | +0.500 [" in told
    assert told.rstrip().endswith("| no |")
