"""The made-up runs are runs: the report's own reader takes them, and they show what they are made to show."""

import sys
from pathlib import Path

from safelab.results.runs.load import load
from scripts.tools import make_synthetic_runs


def test_its_runs_are_read_and_the_reward_falls_where_it_is_said_to(tmp_path: Path, monkeypatch, capsys) -> None:
    root = tmp_path / "synthetic"
    monkeypatch.setattr(sys, "argv", ["make_synthetic_runs.py", str(root), "--seeds", "2", "--updates", "60"])
    make_synthetic_runs.main()
    said = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert len(said) == 2 * len(make_synthetic_runs.ARMS)
    assert all((place / "run.json").is_file() for place in said)
    evidence = load([root])
    assert {run.arm for run in evidence.runs} == {arm.name for arm in make_synthetic_runs.ARMS}
    assert all(len(run.record.metrics) == 60 for run in evidence.runs)


def test_the_same_seed_is_the_same_run() -> None:
    arm = make_synthetic_runs.ARMS[0]
    first, again, other = (list(make_synthetic_runs.rows(arm, seed, 5)) for seed in (0, 0, 1))
    assert first == again
    assert first != other
