"""What is proposed after a report: by what it lacks, and as commands that are understood."""

import shlex
from pathlib import Path

import pytest

from safelab.app.cli import main
from safelab.results.page.document import Choices, build_report
from safelab.results.runs.load import load
from safelab.results.words.next_steps import next_steps

from ..conftest import MakeRun

SWEEP = "safelab train -m +sweep=demo"


def steps(folder: Path, baseline: str | None = "ppo") -> list[str]:
    report = build_report(load([folder]), Choices(baseline=baseline))
    return [command for command, _ in next_steps(report, [str(folder)], [str(folder)])]


def test_a_baseline_where_there_is_none(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("ppo")
    make_run("safe")
    assert steps(tmp_path, None) == [f"safelab report {tmp_path} --baseline ppo"]


def test_the_sweep_with_more_seeds_where_they_are_few(make_run: MakeRun, tmp_path: Path) -> None:
    for arm in ("ppo", "safe"):
        make_run(arm, 0, command=SWEEP, columns={"reward/gold_mean": [1.0, 1.0]})
    assert steps(tmp_path) == [f"{SWEEP} 'seed=range(10)'", f"safelab report {tmp_path} --metric gold_final"]


@pytest.mark.parametrize("command", [f"{SWEEP} seed=0,1", "safelab train algorithm=ppo", "python mine.py -m", "it's"])
def test_no_sweep_is_proposed_that_would_not_be_the_same(make_run: MakeRun, tmp_path: Path, command: str) -> None:
    make_run("ppo", 0, command=command)
    assert steps(tmp_path) == [f"safelab runs {tmp_path}"]


def test_what_there_is_of_unfinished_runs(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("ppo", 0, status="failed", updates=9)
    assert steps(tmp_path, None) == [f"safelab report {tmp_path} --include-unfinished", f"safelab runs {tmp_path}"]


def test_the_commands_work(make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "it's a study"
    for arm in ("ppo", "safe"):
        make_run(arm, 0, columns={"reward/gold_mean": [1.0, 1.0]}, directory=folder / arm / "seed_0")
    found = steps(folder, None)
    assert len(found) == 2
    for command in found:
        assert main(shlex.split(command)[1:]) == 0
