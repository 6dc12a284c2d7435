from pathlib import Path

import numpy as np
import pytest

from safelab.results.compare.aggregate import rankings, values_by_run
from safelab.results.page.document import Choices, build_report
from safelab.results.runs.crash_policy import Entry, floors, last_known, under_policy
from safelab.results.runs.load import load
from safelab.results.runs.measures import MEASURES

from ..conftest import MakeRun

REWARD_MEAN = MEASURES[0]


@pytest.fixture
def two_arms(make_run: MakeRun, tmp_path: Path) -> Path:
    """``steady`` holds 0.5; ``fallen`` has 0.8 twice, crashes at update 2, and stops there at 0.6 of 5 updates."""
    make_run("steady", 0, rewards=[0.5, 0.5, 0.4, 0.5, 0.6], columns={"crash/reward": [0, 0, 0, 0, 0]})
    make_run("fallen", 0, rewards=[0.8, 0.8, 0.6], columns={"crash/reward": [0, 0, 1]}, status="diverged", updates=5)
    return tmp_path


@pytest.mark.parametrize(
    ("policy", "mean"),
    [
        ("last_value", (0.8 + 0.8 + 0.6 + 0.6 + 0.6) / 5),
        ("floor", (0.8 + 0.8 + 0.4 + 0.4 + 0.4) / 5),
    ],
)
def test_what_a_crashed_run_counts_for(two_arms: Path, policy: str, mean: float) -> None:
    values = values_by_run(load([two_arms]), [REWARD_MEAN], 10, policy)
    assert values["fallen"][0]["reward_mean"] == pytest.approx(mean)
    assert values["steady"][0]["reward_mean"] == pytest.approx(0.5)


def test_exclude_leaves_it_out_of_averages_and_not_out_of_crash_rates(two_arms: Path) -> None:
    report = build_report(load([two_arms]), Choices(crash_policy="exclude"))
    fallen = next(arm for arm in report.arms if arm.name == "fallen")
    assert fallen.estimates["reward_mean"].n == 0
    assert (fallen.crashed["crash/reward"].k, fallen.crashed["crash/reward"].n) == (1, 1)
    assert (fallen.diverged.k, fallen.counted) == (1, 1)


def test_the_report_says_that_the_ranking_hangs_on_the_policy(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("steady", 0, rewards=[0.5, 0.4, 0.5], columns={"crash/reward": [0, 0, 0]})
    make_run("fallen", 0, rewards=[0.6, 0.6, 0.6], columns={"crash/reward": [0, 1, 0]})
    loaded = load([tmp_path])
    found = {row.policy: list(row.arms) for row in rankings(loaded, REWARD_MEAN, 10)}
    assert found == {
        "last_value": ["fallen", "steady"],
        "floor": ["fallen", "steady"],
        "exclude": ["steady", "fallen"],
    }
    assert any("depends on what a crashed run counts for" in line for line in build_report(loaded, Choices()).limits)


def test_the_floor_is_the_least_of_any_counted_run(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("a", 0, rewards=[0.5, 0.3])
    make_run("b", 0, rewards=[0.1, 0.3], status="running")
    assert floors(load([tmp_path])) == {"reward/mean": 0.3}


def test_carrying_on_repeats_values_and_no_crash(two_arms: Path) -> None:
    run = next(run for run in load([two_arms]).runs if run.arm == "fallen")
    assert last_known(run.record.metrics) == {"reward/mean": 0.6, "crash/reward": 0.0}
    entry = under_policy(run, "last_value", {})
    assert entry is not None
    assert (len(entry.frame), entry.missing, entry.rest["reward/mean"]) == (3, 2, 0.6)


def test_means_and_final_values_are_those_of_rows_that_go_on_and_deviations_are_not(
    make_run: MakeRun, tmp_path: Path
) -> None:
    rewards = [0.1, 0.9, 0.2, 0.7, 0.4]
    make_run(
        "ppo", 0, rewards=rewards, columns={"time/total_s": [1.0, 1.0, 1.0, 9.0, 9.0]}, status="diverged", updates=37
    )
    values = values_by_run(load([tmp_path]), MEASURES, 3, "last_value")["ppo"][0]
    whole = np.array(rewards + [0.4] * 32)
    assert values["reward_mean"] == pytest.approx(whole.mean(), rel=1e-12)
    assert values["reward_final"] == pytest.approx(whole[-4:].mean(), rel=1e-12)
    assert values["reward_sd"] == pytest.approx(np.std(rewards, ddof=1), rel=1e-12)
    assert values["update_s"] == 1.0
    # Rolling means of three: 0.4, 0.6, 0.4333; the values in their middles less those.
    noise = [0.9 - 0.4, 0.2 - 0.6, 0.7 - 1.3 / 3]
    assert values["reward_sd_rolling"] == pytest.approx(np.std(noise, ddof=1), rel=1e-12)


def test_final_values_where_the_last_tenth_reaches_into_what_was_measured(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("ppo", 0, rewards=[0.0] * 18 + [1.0], status="diverged", updates=20)
    values = values_by_run(load([tmp_path]), MEASURES, 3, "last_value")["ppo"][0]
    assert values["reward_final"] == 1.0
    make_run("ppo", 1, rewards=[0.0] * 38 + [1.0], status="diverged", updates=40)
    assert values_by_run(load([tmp_path]), MEASURES, 3, "last_value")["ppo"][1]["reward_final"] == 0.5


def test_a_run_planned_for_any_number_of_updates_takes_no_longer(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("ppo", 0, rewards=[0.0, 1.0], status="diverged", updates=2**52)
    found = build_report(load([tmp_path]), Choices())
    assert found.arms[0].estimates["reward_mean"].mean == pytest.approx(1.0)
    assert found.rankings[1].means == [pytest.approx(0.0)]


def test_a_run_without_a_crash_enters_as_it_is(two_arms: Path) -> None:
    run = next(run for run in load([two_arms]).runs if run.arm == "steady")
    for policy in ("floor", "exclude"):
        assert under_policy(run, policy, {"reward/mean": -9.0}) == Entry(frame=run.record.metrics)


def test_a_run_that_failed_has_not_crashed_and_keeps_its_last_values_where_it_is_asked_for(
    make_run: MakeRun, tmp_path: Path
) -> None:
    make_run("steady", 0, rewards=[0.4, 0.5, 0.6, 0.5])
    make_run("broken", 0, rewards=[0.8, 0.6], status="failed", updates=4)
    assert values_by_run(load([tmp_path]), [REWARD_MEAN], 10, "last_value")["broken"] == {}
    for policy in ("last_value", "floor", "exclude"):
        found = values_by_run(load([tmp_path], unfinished=True), [REWARD_MEAN], 10, policy)
        assert found["broken"][0]["reward_mean"] == pytest.approx((0.8 + 0.6 + 0.6 + 0.6) / 4)
