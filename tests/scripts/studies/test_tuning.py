"""A grid is run, the setting with the best gold score is chosen, and printed as the block of a sweep's file."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from safelab.app import cli
from scripts.studies import tuning
from scripts.tools import tiny

RATES = {f"ppo,lr={rate}": {"algorithm": "ppo", "optimizer.lr": rate} for rate in (1e-4, 1e-3)}


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Sweeps run here, one job after the other, in place of a process of their own; their commands."""
    commands = []

    def here(command: list[str], check: bool) -> None:
        commands.append(command[3:])
        assert check
        assert cli.main([*command[3:], "hydra/launcher=basic"]) == 0

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
