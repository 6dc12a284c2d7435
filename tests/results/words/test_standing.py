"""What became of the runs, in words: the failed, the diverged, and the arms that are not alike."""

from pathlib import Path

import pytest

from safelab.results.model import Difference, Report
from safelab.results.page.document import Choices, build_report
from safelab.results.runs.load import load
from safelab.results.words.alike import not_alike_said

from ..conftest import MakeRun


def report(folder: Path, **more) -> Report:
    return build_report(load([folder], unfinished=more.pop("unfinished", False)), Choices(baseline="ppo", **more))


def test_an_arm_whose_runs_all_failed_enters_nothing_and_is_named(make_run: MakeRun, tmp_path: Path) -> None:
    for seed in range(3):
        make_run("bug", seed, [9.0] * (4 + seed % 2), status="failed", updates=40, reason="ValueError: mine")
        make_run("ppo", seed, [0.5] * 4)
        make_run("safe", seed, [0.6] * 4)
    found = report(tmp_path)
    bug = next(arm for arm in found.arms if arm.name == "bug")
    assert (bug.finished, bug.started, bug.counted, bug.estimates["reward_mean"].n) == (0, 3, 0, 0)
    assert "safe lies above ppo" in found.verdict[0]
    assert "bug has no run that counts" in found.verdict[0]
    assert found.caveats == [
        "Left out, because they did not finish: 3 of 3 runs of bug "
        "(failed after 4 to 5 of 40 updates: ValueError: mine)."
    ]
    assert all("bug" not in row.arms or row.means[row.arms.index("bug")] is None for row in found.rankings)
    assert {line.arm for panel in found.panels for line in panel.lines} == {"ppo", "safe"}
    asked = report(tmp_path, unfinished=True)
    assert "bug and safe lie above ppo" in asked.verdict[0]
    assert asked.caveats[0].startswith("Counted although they did not finish, as --include-unfinished asks")


def test_a_crash_before_a_failure_is_not_hidden(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("ppo", 0, [0.5, 0.1], {"crash/reward": [0, 1]}, status="failed", updates=9, reason="disk full")
    make_run("ppo", 1, [0.5, 0.5], {"crash/reward": [0, 0]})
    assert report(tmp_path).caveats == [
        "Left out, because they did not finish: 1 of 2 runs of ppo "
        "(failed after 2 of 9 updates and a reward crash: disk full)."
    ]


def test_a_run_that_diverged_counts_and_every_way_of_counting_it_is_said(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("ppo", 0, [0.5, 0.5, 0.5, 0.2])
    make_run("safe", 0, [0.6, 0.6, 0.6, 0.6])
    make_run("safe", 1, [0.9, 0.9], status="diverged", updates=4)
    found = report(tmp_path)
    safe = next(arm for arm in found.arms if arm.name == "safe")
    assert (safe.finished, safe.diverged.k, safe.diverged.n, safe.counted) == (1, 1, 2, 2)
    # 0.9 to the end: (0.6 + 0.9) / 2; the least reward of any run, 0.2, in its last two: (0.6 + 0.55) / 2; without: 0.6
    assert found.caveats == [
        "Diverged, or ended by a guard: 1 of 2 runs of safe. That is a result, and counts as one; the updates that "
        "they lack count as their last values in means and final values (training-average reward by --crash-policy: "
        "safe last_value 0.750, floor 0.575, exclude 0.600)."
    ]


def test_a_run_that_diverged_at_once_is_in_the_count(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("ppo", 0, [0.5])
    make_run("safe", 0, [], status="diverged", updates=4)
    assert "Diverged, or ended by a guard: 1 of 1 run of safe." in report(tmp_path).caveats[0]


def differing(**keys: tuple[str, ...]) -> list[Difference]:
    return [Difference(key=k.replace("__", "."), values=dict(zip("abc", v, strict=False))) for k, v in keys.items()]


def test_who_differs_from_the_baseline_and_in_what() -> None:
    rows = differing(reward__name=("x", "y", "x"), objective__clip=("1", "2", "3"), policy__path=("p", "p", "q"))
    assert not_alike_said("abc", "a", rows) == [
        "b does not have the same reward as a (reward.name: y in b, x otherwise): a difference between them may come "
        "from that alone.",
        "c does not have the same policy as a (policy.path: q in c, p otherwise): a difference between them may come "
        "from that alone.",
    ]
    assert not_alike_said("abc", None, rows)[0].startswith("b does not have the same reward as a and c (")
    assert not_alike_said("abc", "b", rows)[0].startswith("a and c do not have the same reward as b (")


@pytest.mark.parametrize(
    "key",
    ["objective__clip", "reward__batch_size", "data__seed", "policy__device", "policy__packing", "policy__compile"],
)
def test_what_makes_no_difference_is_not_said(key: str) -> None:
    assert not_alike_said("abc", "a", differing(**{key: ("1", "2", "3")})) == []
