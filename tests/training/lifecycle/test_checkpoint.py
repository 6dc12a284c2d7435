"""Which checkpoints stay, which are passed over, and what a kill leaves."""

import json
import shutil
from pathlib import Path

import pytest

from safelab.errors import DataError
from safelab.runlog import durable
from safelab.training.lifecycle import checkpoint
from safelab.training.lifecycle.follow import better
from safelab.training.lifecycle.run import train
from safelab.training.state import Best, initial_state
from support.runs import numbers, parts_of, run, small


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "checkpoints").iterdir())


def test_the_best_one_stays_beside_the_newest(tmp_path: Path) -> None:
    settings = [
        "checkpoint.every=1",
        "checkpoint.keep=1",
        "checkpoint.best=reward/mean",
        "updates=6",
        "samples.every=0",
    ]
    outcome, rows = run(small(tmp_path, *settings))
    rewards = [row["reward/mean"] for row in rows]
    best = rewards.index(max(rewards)) + 1
    assert names(outcome.directory) == sorted({f"update_{best:06d}", "update_000006"})
    state = json.loads((outcome.directory / "checkpoints" / "update_000006" / "state.json").read_text())
    assert state["best"] == {"value": max(rewards), "update": best}
    assert checkpoint.best_of(outcome.directory / "checkpoints").name == f"update_{best:06d}"


def test_the_best_value_survives_a_resume(tmp_path: Path) -> None:
    settings = ["checkpoint.every=1", "checkpoint.keep=1", "checkpoint.best=policy/entropy_token"]
    first, _ = run(small(tmp_path, *settings, "updates=2"))
    state = first.directory / "checkpoints" / "update_000002"
    text = json.loads((state / "state.json").read_text())
    # As if the first checkpoint had been better than anything that comes.
    (state / "state.json").write_text(json.dumps({**text, "best": {"value": 99.0, "update": 2}}))
    (state / "manifest.json").write_text(json.dumps(checkpoint.hashes(state)))
    second, _ = run(small(tmp_path, *settings, "updates=4"))
    assert names(second.directory) == ["update_000002", "update_000004"]


def test_best_is_the_first_of_the_highest_and_never_nan(tmp_path: Path) -> None:
    state = initial_state(parts_of(small(tmp_path)))
    assert better(state, float("nan")) == Best()
    assert better(state, None) == Best()
    assert better(state, -2.0) == Best(value=-2.0, update=0)


@pytest.mark.parametrize("metric", ["reward/maen", "controller/phase"])
def test_a_best_metric_that_is_none_is_told_at_the_first_update(metric: str, tmp_path: Path) -> None:
    config = small(tmp_path, f"checkpoint.best={metric}")
    outcome = train(parts_of(config), config, [], "test")
    assert outcome.status == "failed"
    assert f"checkpoint.best must be a number in the rows of this run, got '{metric}'" in str(outcome.reason)


def test_a_damaged_newer_one_takes_no_place_of_a_whole_one(tmp_path: Path) -> None:
    settings = ["checkpoint.every=1", "checkpoint.keep=1", "updates=4"]
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    _, rows = run(small(tmp_path / "whole", *settings))
    outcome, _ = run(small(tmp_path / "cut", "checkpoint.every=1", "checkpoint.keep=2", "updates=3"))
    damaged = outcome.directory / "checkpoints" / "update_000003" / "state.json"
    damaged.write_text(damaged.read_text().replace("0", "1", 1))
    outcome, again = run(small(tmp_path / "cut", *settings))
    assert numbers(again) == numbers(rows)
    assert names(outcome.directory) == ["update_000004"]


def test_what_a_kill_left_half_done_is_cleared_up(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    for name in (
        ".update_000002.new",
        ".update_000003.old",
        ".update_000001.gone",
        ".update_000004.old",
        "update_000004",
    ):
        (folder / name).mkdir(parents=True)
    checkpoint.tidied(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["update_000003", "update_000004"]


def test_rows_that_are_lost_are_made_again_from_an_older_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = small(tmp_path, "checkpoint.every=1", "updates=4")
    outcome, rows = run(config)
    metrics = outcome.directory / "metrics.jsonl"
    # As after a power cut that spared the checkpoint and not the last row.
    metrics.write_text("".join(metrics.read_text().splitlines(keepends=True)[:3]))
    _, again = run(config)
    assert numbers(again) == numbers(rows)
    assert "rows end before it, at update 2, passed over" in capsys.readouterr().err


def test_a_checkpoint_that_does_not_fit_is_one_message(tmp_path: Path) -> None:
    run(small(tmp_path, "algorithm=safe", "updates=2", "checkpoint.every=1"))
    other = small(tmp_path, "algorithm=safe", "updates=3", "critic.heads=5", "resume.allow=[critic]")
    with pytest.raises(DataError, match="must fit this version and configuration, and does not"):
        run(other)


def test_checkpoints_without_their_record_are_not_taken_for_a_fresh_start(tmp_path: Path) -> None:
    outcome, _ = run(small(tmp_path, "updates=2"))
    (outcome.directory / "run.json").unlink()
    with pytest.raises(DataError, match="must lie beside a run"):
        run(small(tmp_path, "updates=2"))
    assert names(outcome.directory) == ["update_000002"]


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "FIRST_PAUSE_S", 0.0)
    config = small(tmp_path, "updates=4", "checkpoint.every=2")
    _, whole = run(config)
    shutil.rmtree(tmp_path / "outputs")
    hashes = checkpoint.hashes

    def full(path: Path) -> dict[str, str]:
        if "000004" in path.name:
            raise OSError(28, "No space left on device")
        return hashes(path)

    monkeypatch.setattr(checkpoint, "hashes", full)
    outcome, _ = run(config)
    assert outcome.status == "failed"
    assert "checkpoints could not be written in 4 tries (No space left on device)" in str(outcome.reason)
    monkeypatch.undo()
    assert names(outcome.directory) == ["update_000002"]
    _, rows = run(config)
    assert numbers(rows) == numbers(whole)
