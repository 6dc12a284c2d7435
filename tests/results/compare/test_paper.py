"""The published figures beside ours: worked by hand on made runs."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from safelab.errors import DataError
from safelab.results.page.document import Choices, build_report
from safelab.results.page.tables import markdown
from safelab.results.runs.load import load

MakeRun = Callable[..., Path]


def rows(tmp_path: Path) -> dict[str, str]:
    report = build_report(load([tmp_path]), Choices(paper="safe"))
    return {row.quantity: row.here for row in report.paper}


def test_gain_and_variance_ratio_by_hand(make_run: MakeRun, tmp_path: Path) -> None:
    saw = [0.1 * (-1) ** update for update in range(40)]
    for seed in (0, 1):
        make_run("ppo_released", seed, [0.5 + 2 * x for x in saw], {"time/total_s": [1.0] * 40})
        make_run("safe_released", seed, [0.6 + x for x in saw], {"time/total_s": [1.01] * 40})
    found = rows(tmp_path)
    assert found["training-average reward of SAFE"].startswith("0.600")
    assert found["gain in training-average reward"] == "+20.0 % [+20.0, +20.0]"
    # Deviations 2 to 1 are variances 4 to 1.
    assert found["reward variance, PPO's over SAFE's"] == "4.00 times [4.00, 4.00]"
    assert found["overhead in time per update"] == "+1.0 % [+1.0, +1.0]"


def test_ratios_are_geometric_means_over_seeds(make_run: MakeRun, tmp_path: Path) -> None:
    for seed, factor in enumerate((1.1, 1.3)):
        make_run("ppo", seed, [1.0, 1.0])
        make_run("safe", seed, [factor, factor])
    expected = 100 * (math.sqrt(1.1 * 1.3) - 1)
    assert rows(tmp_path)["gain in training-average reward"].startswith(f"+{expected:.1f} %")


def test_it_stands_in_the_markdown_and_only_if_asked_for(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("ppo", 0)
    make_run("safe", 0)
    assert "## Beside the paper" in markdown(build_report(load([tmp_path]), Choices(paper="safe")))
    assert "## Beside the paper" not in markdown(build_report(load([tmp_path]), Choices()))


def test_without_the_arms_it_says_which_it_needs(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("ppo", 0)
    with pytest.raises(DataError, match="needs the arms safe_released and ppo_released, or safe and ppo_matched"):
        build_report(load([tmp_path]), Choices(paper="safe"))
    with pytest.raises(DataError, match="got 'dar'"):
        build_report(load([tmp_path]), Choices(paper="dar"))
