"""A grid is run, the setting with the best gold score is chosen, and printed as the block of a sweep's file."""

import json
import math
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from safelab.app import cli
from safelab.errors import RunFailed
from scripts.studies import tuning
from scripts.tools import tiny

RATES = {f"ppo,lr={rate}": {"algorithm": "ppo", "optimizer.lr": rate} for rate in (1e-4, 1e-3)}


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Sweeps run here, one job after the other, in place of a process of their own; their commands."""
    commands = []

    def here(command: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        commands.append(command[3:])
        assert not check  # the exit code is looked at: runs that diverge are results
        return subprocess.CompletedProcess(command, cli.main([*command[3:], "hydra/launcher=basic"]))

    monkeypatch.setattr(tuning, "subprocess", SimpleNamespace(run=here))
    return commands


def rows(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_the_best_of_a_grid_is_printed_as_an_arm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Prompts of the embedded world, since these have a gold score; the tiny policy answers with words of its own.
    small = ["data=reviews", *(word for word in tiny.overrides(tmp_path) if not word.startswith("data"))]
    words = ["--output", str(tmp_path / "out"), "--seeds", "5", "--methods", "ppo", "--overrides"]
    flags = tuning.flags_of("", ["ppo", "safe"], [*words, *small, "updates=2"])
    tuning.tune({"ppo": RATES}, "grid", flags)
    runs = {path.name: path / "seed_5" for path in (tmp_path / "out" / "grid").iterdir() if path.name in RATES}
    assert runs.keys() == RATES.keys()
    # Of two updates the last tenth is the last.
    scores = {name: rows(run)[-1]["reward/gold_mean"] for name, run in runs.items()}
    assert tuning.gold_by_arm(tmp_path / "out" / "grid") == pytest.approx(scores)
    said = capsys.readouterr().out
    best = max(RATES, key=lambda name: scores[name])  # of equal ones the first
    assert yaml.safe_load(said[said.index("arms:") :]) == {"arms": {"ppo": RATES[best]}}
    # A second call finds all done and says the same.
    tuning.tune({"ppo": RATES}, "grid", flags)
    again = capsys.readouterr().out
    assert again[again.index("arms:") :] == said[said.index("arms:") :]


def test_a_setting_that_diverged_is_never_chosen() -> None:
    scores = {"a": tuning.DIVERGED, "b": -3.0, "c": -3.0}
    grid = {"ppo": {name: {"algorithm": "ppo"} for name in scores}}
    ledger = tuning.ledger_of(grid, scores)
    assert [(row["setting"], row["gold"], row["chosen"]) for row in ledger] == [
        ("a", -math.inf, False), ("b", -3.0, True), ("c", -3.0, False),
    ]  # fmt: skip
    with pytest.raises(RunFailed, match="ppo: each of its 1 settings has a run that diverged"):
        tuning.ledger_of({"ppo": {"a": {}}}, scores)


def test_a_run_that_diverged_has_no_gold_and_one_that_broke_off_is_refused(tmp_path: Path) -> None:
    small = ["data=reviews", *(word for word in tiny.overrides(tmp_path) if not word.startswith("data"))]
    words = ["train", "-m", "hydra/launcher=basic", *small, "updates=1", f"output_dir={tmp_path}", "seed=1,2"]
    assert cli.main([*words, "experiment=grid", "arm=one"]) == 0
    file = tmp_path / "grid" / "one" / "seed_1" / "run.json"
    for status, score in (("finished", None), ("diverged", tuning.DIVERGED)):
        file.write_text(json.dumps({**json.loads(file.read_text()), "status": status}))
        found = tuning.gold_by_arm(tmp_path / "grid")["one"]
        assert found == score if score is not None else math.isfinite(found)
    file.write_text(json.dumps({**json.loads(file.read_text()), "status": "interrupted"}))
    with pytest.raises(RunFailed, match=r"seed_1 is interrupted, so its setting has no score"):
        tuning.gold_by_arm(tmp_path / "grid")


def test_long_arms_take_a_line_for_each_override() -> None:
    arms = {"short": {"algorithm": "ppo"}, "long": {f"a.key.of.some.length.{n}": float(n) for n in range(5)}}
    text = tuning.block(arms)
    assert yaml.safe_load(text) == {"arms": arms}
    assert max(map(len, text.splitlines())) <= tuning.WIDTH
    assert len(text.splitlines()) == 1 + 1 + 1 + 5


def test_a_method_that_the_study_has_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        tuning.flags_of("", ["ppo"], ["--methods", "pppo"])
    assert "invalid choice: 'pppo'" in capsys.readouterr().err
