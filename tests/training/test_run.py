"""The rim: directory, resume, refusal."""

import json
from pathlib import Path

import pytest
import yaml

from safelab.errors import ConfigError
from safelab.training import checkpoint
from safelab.training.run import is_finished, train
from support.runs import numbers, parts_of, run, small


def rows_of(directory: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def test_a_run_leaves_its_record(tmp_path: Path) -> None:
    config = small(tmp_path, "algorithm=safe")
    outcome, rows = run(config)
    assert outcome.status == "finished"
    assert outcome.directory == tmp_path / "outputs" / "default" / "test" / "seed_0"
    info = json.loads((outcome.directory / "run.json").read_text())
    assert (info["status"], info["arm"], info["seed"], info["last_update"]) == ("finished", "test", 0, 2)
    assert info["versions"]["torch"]
    assert yaml.safe_load((outcome.directory / "config.yaml").read_text()) == config
    assert yaml.safe_load((outcome.directory / "overrides.yaml").read_text()) == ["test"]
    assert [row["update"] for row in rows] == [0, 1, 2]
    samples = [json.loads(line) for line in (outcome.directory / "samples.jsonl").read_text().splitlines()]
    assert {sample["update"] for sample in samples} == {0, 2}
    assert set(samples[0]) >= {"prompt", "response", "reward"}
    assert outcome.final_reward == rows[-1]["reward/mean"]


@pytest.mark.parametrize("algorithm", ["safe", "safe_released", "ppo_adaptive_kl", "ppo"])
def test_a_resumed_run_writes_the_rows_of_an_uninterrupted_one(algorithm: str, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    settings = [f"algorithm={algorithm}", "checkpoint.every=2", "critic.polyak_rate=null"]
    if algorithm == "ppo":
        settings[-1] = "critic.polyak_rate=0.1"
    _, whole = run(small(tmp_path / "whole", *settings, "updates=5"))
    cut = small(tmp_path / "cut", *settings, "updates=3")
    outcome, _ = run(cut)
    # As a kill after update 2 leaves it: a row beyond the newest checkpoint, which must not be there twice.
    info = json.loads((outcome.directory / "run.json").read_text())
    (outcome.directory / "run.json").write_text(json.dumps({**info, "status": "running"}))
    newest = outcome.directory / "checkpoints" / "update_000003"
    newest.rename(newest.with_name("thrown_away"))
    resumed, rows = run({**cut, "updates": 5})
    assert resumed.status == "finished"
    assert numbers(rows) == numbers(whole)


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(tmp_path: Path, capsys) -> None:
    config = small(tmp_path, "checkpoint.every=1")
    outcome, rows = run(config)
    damaged = outcome.directory / "checkpoints" / "update_000003" / "tensors.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\x00")
    path, bad = checkpoint.newest(outcome.directory / "checkpoints")
    assert path is not None
    assert path.name == "update_000002"
    assert [one.name for one in bad] == ["update_000003"]
    _, again = run(config)
    assert "damaged checkpoint" in capsys.readouterr().err
    assert numbers(again) == numbers(rows)


def test_only_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    outcome, _ = run(small(tmp_path, "checkpoint.every=1", "checkpoint.keep=2"))
    kept = sorted(path.name for path in (outcome.directory / "checkpoints").iterdir())
    assert kept == ["update_000002", "update_000003"]


def test_another_configuration_in_the_same_directory_is_refused(tmp_path: Path) -> None:
    run(small(tmp_path))
    other = small(tmp_path, "optimizer.lr=1e-3")
    with pytest.raises(ConfigError, match=r"optimizer\.lr: 0\.0003 there, 0\.001 now"):
        train(parts_of(other), other, [], "test")


def test_a_finished_run_is_known_as_such(tmp_path: Path) -> None:
    config = small(tmp_path)
    parts = parts_of(config)
    assert not is_finished(parts.settings)
    run(config)
    assert is_finished(parts.settings)
    assert not is_finished(parts_of({**config, "updates": 9}).settings)


def test_a_failed_run_says_why(tmp_path: Path) -> None:
    config = small(tmp_path, "optimizer.lr=1e30", "updates=6")
    outcome = train(parts_of(config), config, [], "test")
    info = json.loads((outcome.directory / "run.json").read_text())
    assert outcome.status == info["status"] == "failed"
    assert "must be finite" in info["reason"]
