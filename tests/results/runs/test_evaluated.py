"""What ``safelab evaluate`` measured, as numbers of a report."""

import json
from pathlib import Path
from typing import Any

import pytest

from safelab.errors import DataError
from safelab.results.page.document import Choices, build_report
from safelab.results.runs.evaluated import EVALUATED, PLACES, updates_of
from safelab.results.runs.load import load


def evaluation(rate: float, **more: Any) -> dict[str, Any]:
    return {"checkpoint": "update_000002", "prompts": 4, "answers_column": None, "win_rate": {"mean": rate}, **more}


def save(directory: Path, found: object) -> None:
    (directory / "evaluation.json").write_text(json.dumps(found))


def test_every_measure_has_its_place() -> None:
    assert {measure.key for measure in EVALUATED} == PLACES.keys()


def test_win_rates_are_means_over_the_seeds_that_were_evaluated(make_run, tmp_path: Path) -> None:
    answers = {"policy": {"answers_gold_win_rate": {"mean": 0.25}}, "reference": {"answers_gold_win_rate": {"mean": 0}}}
    for seed, rate in enumerate((0.5, 0.75)):
        save(make_run("safe", seed), evaluation(rate, **answers))
        save(make_run("ppo", seed), evaluation(0.5))
    make_run("safe", 2)
    found = build_report(load([tmp_path / "runs"]), Choices(baseline="ppo", metrics=["win_rate"]))
    arms = {arm.name: arm.estimates for arm in found.arms}
    assert found.primary == "win_rate"
    assert (arms["safe"]["win_rate"].n, arms["safe"]["win_rate"].mean) == (2, 0.625)
    assert (arms["safe"]["win_rate_answers_gold"].mean, arms["safe"]["start_win_rate_answers_gold"].mean) == (0.25, 0.0)
    assert arms["ppo"]["win_rate_answers_gold"].n == 0
    difference = next(row for row in found.comparisons if row.arm == "safe" and row.measure == "win_rate")
    assert (list(difference.seeds), difference.difference.mean) == ([0, 1], 0.125)
    assert [run.measures["win_rate"] for run in found.runs if run.arm == "safe"] == [0.5, 0.75, None]
    assert "win_rate_gold" not in {measure.key for measure in found.measures}


def test_runs_that_were_not_evaluated_have_no_such_column(make_run, tmp_path: Path) -> None:
    make_run("safe", 0)
    found = build_report(load([tmp_path / "runs"]), Choices())
    assert not PLACES.keys() & {measure.key for measure in found.measures}


@pytest.mark.parametrize(
    ("content", "reason"),
    [('{"win_rate"', "cannot be read"), ("[1]", "holds no object")],
)
def test_a_damaged_file_is_named_and_no_number(make_run, tmp_path: Path, content: str, reason: str) -> None:
    (make_run("safe", 0) / "evaluation.json").write_text(content)
    found = build_report(load([tmp_path / "runs"]), Choices())
    assert found.runs[0].damaged[0].startswith(f"evaluation.json line 0: {reason}")
    assert found.runs[0].measures["win_rate"] is None


@pytest.mark.parametrize("value", ["0.5", True, None, {"n": 3}, float("nan"), 5.0, -0.1, 10**400])
def test_what_is_no_number_is_none(make_run, tmp_path: Path, value: object) -> None:
    save(make_run("safe", 0), {**evaluation(0.5), "win_rate": {"mean": value}})
    assert build_report(load([tmp_path / "runs"]), Choices()).runs[0].measures["win_rate"] is None


@pytest.mark.parametrize(
    "more",
    [{"prompts": 8}, {"answers_column": "summary"}, {"data": {"split": "test"}}, {"prompts": [1]}],
)
def test_an_early_checkpoint_and_unlike_prompts_are_said(make_run, tmp_path: Path, more: dict[str, Any]) -> None:
    save(make_run("safe", 0), {**evaluation(0.5), "checkpoint": "update_000001"})
    save(make_run("ppo", 0), {**evaluation(0.5), **more, "checkpoint": "best"})
    notes = build_report(load([tmp_path / "runs"]), Choices()).notes
    assert "safe, seed 0 was evaluated after 1 of 2 updates." in notes
    assert "Runs were evaluated on other prompts, or against other answers." in notes
    assert updates_of("update_000050") == 50
    assert updates_of("best") is updates_of(None) is None


def test_alike_evaluations_need_no_word(make_run, tmp_path: Path) -> None:
    for arm, seed in (("safe", 0), ("ppo", 1)):
        save(make_run(arm, 0), evaluation(0.5, data={"name": "reviews", "seed": seed}))
    make_run("other", 0)
    assert not [note for note in build_report(load([tmp_path / "runs"]), Choices()).notes if "evaluated" in note]


def test_a_misspelt_win_rate_is_told_its_name(make_run, tmp_path: Path) -> None:
    make_run("safe", 0)
    with pytest.raises(DataError, match="did you mean 'win_rate'"):
        build_report(load([tmp_path / "runs"]), Choices(metrics=["winrate"]))
