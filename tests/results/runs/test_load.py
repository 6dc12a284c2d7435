import json
from pathlib import Path

import pytest

from safelab.errors import DataError
from safelab.results.page.document import Choices, build_report
from safelab.results.runs.load import load, printable

from ..conftest import MakeRun


def places(tmp_path: Path) -> list[tuple[str, int, bool, str]]:
    return [(run.arm, run.seed, run.counted, run.note) for run in load([tmp_path]).runs]


def test_runs_are_grouped_by_arm_and_seed(make_run: MakeRun, tmp_path: Path) -> None:
    for arm, seed in (("safe", 1), ("ppo", 0), ("safe", 0)):
        make_run(arm, seed)
    assert places(tmp_path) == [("ppo", 0, True, ""), ("safe", 0, True, ""), ("safe", 1, True, "")]


def test_a_run_that_is_not_over_is_listed_and_does_not_count(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("ppo", 0, status="running", updates=10)
    make_run("ppo", 1, status="interrupted", updates=10)
    assert places(tmp_path) == [
        ("ppo", 0, False, "running after 2 of 10 updates: not counted"),
        ("ppo", 1, False, "interrupted after 2 of 10 updates: not counted"),
    ]


@pytest.mark.parametrize("status", ["failed", "interrupted", "running"])
def test_a_run_that_did_not_finish_counts_only_if_it_is_asked_for(
    make_run: MakeRun, tmp_path: Path, status: str
) -> None:
    make_run("ppo", 0, status=status, updates=10)
    make_run("ppo", 1, rewards=[], status=status, updates=10)
    none = ("ppo", 1, False, f"{status} without a single readable update")
    assert places(tmp_path) == [("ppo", 0, False, f"{status} after 2 of 10 updates: not counted"), none]
    asked = [(run.arm, run.seed, run.counted, run.note) for run in load([tmp_path], unfinished=True).runs]
    assert asked == [("ppo", 0, True, f"{status} after 2 of 10 updates: counted"), none]


def test_a_run_that_diverged_is_a_result(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("ppo", 0, status="diverged", updates=10)
    make_run("ppo", 1, rewards=[], status="diverged", updates=10)
    assert places(tmp_path) == [
        ("ppo", 0, True, "diverged after 2 of 10 updates"),
        ("ppo", 1, False, "diverged without a single readable update"),
    ]


def test_of_duplicates_a_finished_one_counts_before_a_later_one_that_is_not(make_run: MakeRun, tmp_path: Path) -> None:
    make_run(directory=tmp_path / "a", started="2026-01-01")
    make_run(directory=tmp_path / "b", started="2026-01-02")
    make_run(directory=tmp_path / "c", started="2026-01-03", status="failed")
    runs = load([tmp_path]).runs
    assert [(run.record.directory.name, run.counted, run.duplicate) for run in runs] == [
        ("b", True, False),
        ("a", False, True),
        ("c", False, True),
    ]
    assert "duplicate of" in runs[1].note


def test_one_arm_name_in_two_experiments_is_two_arms(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("ppo", directory=tmp_path / "a", experiment="x")
    make_run("ppo", directory=tmp_path / "b", experiment="y")
    make_run("safe", directory=tmp_path / "c", experiment="y")
    assert list(load([tmp_path]).arms) == ["safe", "x/ppo", "y/ppo"]


def test_an_unreadable_run_is_named_and_left_out(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("ppo", 0)
    (make_run("ppo", 1) / "run.json").write_text("{")
    found = load([tmp_path])
    assert len(found.runs) == 1
    assert "seed_1/run.json must be a valid run record" in found.unreadable[0]


def test_nothing_readable_is_one_message(make_run: MakeRun, tmp_path: Path) -> None:
    (make_run() / "run.json").unlink()
    make_run_metrics = tmp_path / "runs/ppo/seed_0/metrics.jsonl"
    assert make_run_metrics.exists()
    with pytest.raises(DataError, match="at least one run must be readable, got none"):
        load([tmp_path])


def test_damage_is_named_and_counted_in_the_report(make_run: MakeRun, tmp_path: Path) -> None:
    metrics = make_run("ppo", 0, rewards=[0.1, 0.2, 0.3]) / "metrics.jsonl"
    metrics.write_text(metrics.read_text().replace('{"update":1', '{"update:1'))
    notes = build_report(load([tmp_path]), Choices(baseline="ppo")).notes
    assert "ppo, seed 0: finished, but 1 of 3 updates cannot be read" in notes
    assert any(note.startswith("ppo, seed 0: 1 damaged line skipped (first: metrics.jsonl line 2") for note in notes)


def test_runs_that_are_no_repetitions_are_told(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("ppo", 0, config={"optimizer": {"lr": 1e-4}})
    make_run("ppo", 1, config={"optimizer": {"lr": 3e-4}}, updates=7)
    notes = build_report(load([tmp_path]), Choices(baseline="ppo")).notes
    assert "Runs of ppo differ among themselves in optimizer.lr: they are no repetitions." in notes
    assert "Runs of different length are mixed (2 and 7 planned updates)." in notes


def test_what_follows_the_seed_is_no_difference(make_run: MakeRun, tmp_path: Path) -> None:
    for seed in (0, 1):
        make_run("ppo", seed, config={"seed": seed, "data": {"seed": seed}, "reward": {"seed": 0}})
    assert build_report(load([tmp_path]), Choices(baseline="ppo")).notes == []


def test_control_characters_do_not_reach_a_terminal() -> None:
    assert printable("a\x1b[31mb\nc") == "a�[31mb�c"


def test_a_run_that_went_back_says_how_often_and_what_it_goes_on_with(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run()
    scales = {"lr_scale": 0.25, "kl_coef_scale": 1.0}
    events = [
        {
            "update": 8,
            "kind": "rollback",
            "number": 1,
            "restored": 6,
            "reason": "KL",
            "lr_scale": 0.5,
            "kl_coef_scale": 1.0,
        },
        {"update": 9, "kind": "rollback", "number": 2, "restored": 6, "reason": "KL", **scales},
    ]
    (run / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    (note,) = build_report(load([tmp_path]), Choices(baseline="ppo")).notes
    assert "went back 2 times (update 8 to 6, 9 to 6)" in note
    assert "on with 0.25 times the learning rates and 1.0 times the KL penalty" in note
