import json
from pathlib import Path

import pytest

from safelab.errors import DataError
from safelab.results.model import Report
from safelab.results.page.document import Choices, build_report, to_json
from safelab.results.runs.load import load

from .conftest import MakeRun


@pytest.fixture
def report(make_run: MakeRun, tmp_path: Path) -> Report:
    """Two arms on seeds 0 to 2: ``safe`` is higher by 0.1, 0.2 and 0.3."""
    for seed, gain in enumerate((0.1, 0.2, 0.3)):
        base = 0.4 + 0.01 * seed
        flags = {"crash/reward": [0, int(seed == 0)], "kl/ref_token_exact": [0.0, 0.1]}
        make_run("ppo", seed, rewards=[base, base], columns=flags, config={"objective": {"clip": 0.2}})
        calm = {"crash/reward": [0, 0], "kl/ref_token_exact": [0.0, 0.4]}
        make_run("safe", seed, rewards=[base + gain] * 2, columns=calm, config={"objective": {"clip": 0.1}})
    return build_report(load([tmp_path]), Choices(baseline="ppo"))


def test_the_baseline_comes_first(report: Report) -> None:
    assert report.baseline == "ppo"
    assert [arm.name for arm in report.arms] == ["ppo", "safe"]


def test_the_paired_difference_by_hand(report: Report) -> None:
    row = next(row for row in report.comparisons if (row.arm, row.measure) == ("safe", "reward_mean"))
    assert row.seeds == [0, 1, 2]
    assert row.difference.mean == pytest.approx(0.2)
    # deviation 0.1, t(0.975, 2) = 4.302653: half width 4.302653 x 0.1 / sqrt(3) = 0.248414
    assert (row.difference.low, row.difference.high) == pytest.approx((-0.048414, 0.448414), abs=1e-6)
    assert (row.p, row.p_floor, row.p_holm) == (0.25, 0.25, 0.25)
    assert row.improvement == 1.0


def test_pairing_uses_the_seeds_that_both_have(make_run: MakeRun, tmp_path: Path) -> None:
    for arm, seeds in (("a", (0, 1, 2)), ("b", (1, 2, 3))):
        for seed in seeds:
            make_run(arm, seed, rewards=[0.5 + 0.1 * (arm == "b") + 0.01 * seed])
    found = build_report(load([tmp_path]), Choices(baseline="a"))
    row = next(row for row in found.comparisons if row.measure == "reward_mean")
    assert row.seeds == [1, 2]
    assert row.difference.mean == pytest.approx(0.1)


def test_crashes_against_the_baseline(report: Report) -> None:
    row = report.crash_comparisons[0]
    assert (row.crashed.k, row.crashed.n, row.baseline.k, row.baseline.n) == (0, 3, 1, 3)
    assert (row.p, row.p_floor) == pytest.approx((1.0, 0.1))


def test_what_cannot_be_said_is_said(report: Report) -> None:
    said = " ".join(report.limits)
    assert "With 3 paired seeds no difference, however large, gets a sign-flip p below 0.25" in said
    assert "No reward crash in 3 runs of safe still allows a true crash rate of up to 70.8 %" in said
    assert "Fisher's exact test gives p = 0.1 at best" in said
    assert "from 0.10 (ppo) to 0.40 (safe) nats per token" in said


def test_the_verdict_is_in_words(report: Report) -> None:
    assert report.verdict[0] == (
        "In training-average reward, safe cannot be told apart from ppo (0.410 [0.385, 0.435], 3 runs)."
    )
    assert report.verdict[1] == "safe: 0.610, +0.200 [−0.048, +0.448] against ppo; not told apart."
    assert "Reward crashed for ppo in 1 of 3 runs; not for safe." in report.verdict


def test_one_run_of_each_arm_gives_no_interval(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("ppo", 0, rewards=[0.5])
    make_run("safe", 0, rewards=[0.7])
    found = build_report(load([tmp_path]), Choices(baseline="ppo"))
    row = next(row for row in found.comparisons if row.measure == "reward_mean")
    assert (row.difference.low, row.p, row.improvement_low) == (None, None, None)
    assert found.verdict[1] == "safe: 0.700, +0.200 against ppo on the one seed that both have; no interval."
    assert any("A single run of ppo and safe" in line for line in found.limits)


def test_one_arm_alone_and_no_finished_run(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("ppo", 0, rewards=[0.5], status="running", updates=9)
    assert build_report(load([tmp_path]), Choices(baseline="ppo")).verdict == [
        "No run has finished, so there are no numbers to compare; --include-unfinished shows what there is.",
        "Left out, because they did not finish: 1 of 1 run of ppo (still running after 1 of 9 updates).",
    ]
    make_run("ppo", 0, rewards=[0.5])
    found = build_report(load([tmp_path]), Choices(baseline="ppo"))
    assert found.verdict[0].endswith("stands alone: there is no other arm to compare it with.")


def test_many_clear_seeds_are_called_clear(make_run: MakeRun, tmp_path: Path) -> None:
    for seed in range(8):
        make_run("ppo", seed, rewards=[0.5 + 0.001 * seed])
        make_run("safe", seed, rewards=[0.7 - 0.001 * seed])
    found = build_report(load([tmp_path]), Choices(baseline="ppo"))
    assert found.verdict[0].startswith("In training-average reward, safe lies above ppo (")
    assert "a clear difference (sign-flip p = 0.008, corrected p = 0.008, 8 pairs)" in found.verdict[1]
    assert found.arms[0].estimates["reward_mean"].iqm is not None


def test_the_headline_says_what_the_corrected_test_confirms(make_run: MakeRun, tmp_path: Path) -> None:
    # Six pairs: the floor 0.031 passes alone, and times two arms no more.
    for seed in range(6):
        make_run("ppo", seed, rewards=[0.5])
        make_run("a", seed, rewards=[0.6 + 0.001 * seed])
    assert "confirms" not in build_report(load([tmp_path]), Choices(baseline="ppo")).verdict[0]
    for seed in range(6):
        make_run("b", seed, rewards=[0.4 - 0.001 * seed])
    said = build_report(load([tmp_path]), Choices(baseline="ppo")).verdict[0]
    assert said.endswith("could confirm none of these differences: there are too few pairs for that.")


def test_overhead_by_hand(make_run: MakeRun, tmp_path: Path) -> None:
    # Medians 1, 2 and 2, 2 seconds: ratios 2 and 1, whose geometric mean is the root of 2.
    for arm, seconds in (("ppo", (1.0, 2.0)), ("safe", (2.0, 2.0))):
        for seed, each in enumerate(seconds):
            make_run(arm, seed, columns={"time/total_s": [each, each]})
    found = build_report(load([tmp_path]), Choices(baseline="ppo")).overheads["safe"]
    assert found.mean == pytest.approx(41.42135623730951)
    assert found.low is not None
    assert found.low < 0


def test_the_first_metric_leads(make_run: MakeRun, tmp_path: Path) -> None:
    for seed in (0, 1):
        for arm, kl in (("ppo", 0.1), ("safe", 0.3)):
            make_run(arm, seed, rewards=[0.5], columns={"kl/ref_token_exact": [kl + 0.01 * seed]})
    found = build_report(load([tmp_path]), Choices(baseline="ppo", metrics=["kl_final"]))
    assert found.primary == "kl_final"
    assert "final KL" in found.verdict[0]
    row = next(row for row in found.comparisons if row.measure == "kl_final")
    assert row.improvement is None  # neither more nor less KL is better


def test_settings_that_separate_the_arms(report: Report) -> None:
    assert [(row.key, dict(row.values)) for row in report.differences] == [
        ("objective.clip", {"ppo": "0.2", "safe": "0.1"})
    ]


def test_definitions_have_their_constants(report: Report) -> None:
    assert [definition.kind for definition in report.definitions] == ["crash/reward"]
    assert (
        "over 10 updates falls below its running peak by more than 25\N{NO-BREAK SPACE}%" in report.definitions[0].text
    )


def test_curves_are_mean_and_range_over_seeds(report: Report) -> None:
    panel = next(panel for panel in report.panels if panel.metric == "reward/mean")
    line = next(line for line in panel.lines if line.arm == "safe")
    assert panel.steps == [0, 1]
    assert (line.low, line.mean, line.high) == ([0.5, 0.5], [0.61, 0.61], [0.72, 0.72])
    assert line.seeds["1"] == [0.61, 0.61]


def test_long_runs_are_averaged_over_equal_stretches(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("ppo", 0, rewards=[float(update % 3) for update in range(1200)])
    found = build_report(load([tmp_path]), Choices(baseline="ppo"))
    panel = found.panels[0]
    assert (found.updates_per_point, panel.steps[:3], len(panel.steps)) == (3, [0, 3, 6], 400)
    assert set(panel.lines[0].mean) == {1.0}


def test_an_unfinished_run_is_in_no_curve_and_no_mean_unless_asked_for(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("ppo", 0, rewards=[0.5, 0.5])
    make_run("ppo", 1, rewards=[0.9], status="running", updates=2)
    line = build_report(load([tmp_path]), Choices(baseline="ppo")).panels[0].lines[0]
    assert (line.mean, list(line.seeds)) == ([0.5, 0.5], ["0"])
    asked = build_report(load([tmp_path], unfinished=True), Choices(baseline="ppo"))
    assert (asked.panels[0].lines[0].mean, asked.arms[0].estimates["reward_mean"].mean) == ([0.7, 0.5], 0.7)
    assert asked.caveats == [
        "Counted although they did not finish, as --include-unfinished asks, the updates that they lack with their "
        "last values: 1 of 2 runs of ppo (still running after 1 of 2 updates)."
    ]


def test_of_many_arms_those_that_differ_most_are_drawn(make_run: MakeRun, tmp_path: Path) -> None:
    for number in range(14):
        for seed in (0, 1):
            make_run(f"arm_{number:02d}", seed, rewards=[0.5 + 0.01 * number * (-1) ** number] * 3)
    found = build_report(load([tmp_path]), Choices(baseline="arm_03"))
    names = [arm.name for arm in found.arms]
    assert (found.focus, names[0]) == (10, "arm_03")
    # 0.47 is the baseline's level; 12, 10 and 8 lie furthest above it.
    assert names[1:4] == ["arm_12", "arm_10", "arm_08"]
    assert sorted(names) == [f"arm_{number:02d}" for number in range(14)]


def test_the_study_names_the_baseline_and_nobody_else_does(make_run: MakeRun, tmp_path: Path) -> None:
    for arm in ("a", "ppo"):
        make_run(arm, 0, rewards=[0.5])
    found = build_report(load([tmp_path]), Choices())
    assert (found.baseline, found.comparisons, found.crash_comparisons, found.overheads) == (None, [], [], {})
    assert found.verdict[0] == (
        "No baseline is named, so no arm is compared with another: name one with --baseline ARM, or for good with "
        "baseline: ARM beside the study's arms (a and ppo)."
    )
    assert not any("ppo" in line for line in found.verdict[1:])
    for arm in ("a", "ppo"):
        make_run(arm, 0, rewards=[0.5], config={"baseline": "ppo"})
    assert build_report(load([tmp_path]), Choices()).baseline == "ppo"
    assert build_report(load([tmp_path]), Choices(baseline="a")).baseline == "a"


def test_studies_that_name_different_baselines_name_none_together(make_run: MakeRun, tmp_path: Path) -> None:
    for arm in ("a", "b"):
        make_run(arm, 0, rewards=[0.5], config={"baseline": arm})
    make_run("c", 0, rewards=[0.5], config={"baseline": ["a"]})
    found = build_report(load([tmp_path]), Choices())
    assert (found.baseline, found.verdict[0]) == (
        None,
        "The baseline that the runs' studies name differs (a and b), so no arm is compared with another: name one with "
        "--baseline ARM (a, b and c).",
    )


def test_a_baseline_that_the_study_names_and_that_is_not_there_is_not_called_unnamed(
    make_run: MakeRun, tmp_path: Path
) -> None:
    for arm in ("a", "b"):
        make_run(arm, 0, rewards=[0.5], config={"baseline": "ppo_matched"})
    found = build_report(load([tmp_path]), Choices())
    assert (found.baseline, found.verdict[0]) == (
        None,
        "The baseline that the runs' studies name is ppo_matched, which is no arm here, so no arm is compared with "
        "another: name one with --baseline ARM (a and b).",
    )


def test_the_studys_baseline_is_found_under_the_name_that_the_report_gives_it(
    make_run: MakeRun, tmp_path: Path
) -> None:
    for arm in ("ppo", "safe"):
        make_run(arm, 0, config={"baseline": "ppo", "critic": {"heads": len(arm)}})
    assert build_report(load([tmp_path], by=["critic.heads"]), Choices()).baseline == "3"
    long = "q" * 100
    make_run(long, 0, directory=tmp_path / "runs/long/seed_0", config={"baseline": "ppo"})
    found = build_report(load([tmp_path]), Choices(baseline=long))
    assert (found.baseline, found.arms[0].whole) == (f"{'q' * 16}…{'q' * 15}", long)


def test_an_unknown_baseline_is_one_message(report: Report, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"--baseline .* got 'saef'; did you mean 'safe'\?"):
        build_report(load([tmp_path]), Choices(baseline="saef"))


def test_report_json_is_strict_and_whole(report: Report) -> None:
    def refuse(name: str) -> float:
        raise AssertionError(name)

    found = json.loads(to_json(report), parse_constant=refuse)
    assert found["arms"][1]["estimates"]["reward_mean"]["mean"] == report.arms[1].estimates["reward_mean"].mean
    assert found["runs"][0]["measures"]["reward_mean"] == pytest.approx(0.4)


def test_an_infinite_kl_does_not_break_the_file(make_run: MakeRun, tmp_path: Path) -> None:
    for seed in (0, 1):
        make_run("ppo", seed, rewards=[0.5, 0.5], columns={"kl/ref_token_exact": [0.1, float("inf")]})
    found = build_report(load([tmp_path]), Choices(baseline="ppo"))
    assert json.loads(to_json(found))["arms"][0]["estimates"]["kl_max"]["mean"] == "Infinity"
    assert any("values that are not finite in kl/ref_token_exact (1)" in note for note in found.notes)
