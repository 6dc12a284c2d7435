"""A run that somebody touched: another's checkpoint is refused, and what is gone is told before it goes on."""

import json
import shutil
from pathlib import Path

import pytest

from safelab.app.config.from_run import weights_of
from safelab.errors import DataError
from safelab.runlog.schema import RunInfo
from safelab.training.lifecycle import checkpoint
from safelab.training.lifecycle.owner import check_owner
from safelab.training.lifecycle.run import train
from safelab.training.lifecycle.told import other_versions
from support.runs import parts_of, run, small

STEPS = ["samples.every=1", "checkpoint.every=1"]


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines(keepends=True)


def sampled(directory: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in lines(directory / "samples.jsonl")]


def test_the_checkpoints_of_two_seeds_that_were_swapped_are_refused(tmp_path: Path) -> None:
    first, second = (run(small(tmp_path, f"seed={seed}", "updates=2"))[0].directory for seed in (0, 1))
    one, other = first / "checkpoints", second / "checkpoints"
    one.rename(tmp_path / "aside")
    other.rename(one)
    (tmp_path / "aside").rename(other)
    config = small(tmp_path, "seed=0", "updates=3")
    before = (first / "metrics.jsonl").read_bytes()
    told = r"update_000002 must be a checkpoint of this run \(.*seed 0, id .*\), .* by another \(.*seed 1, id .*\)"
    with pytest.raises(DataError, match=told):
        train(parts_of(config), config, [], "test")
    with pytest.raises(DataError, match=told):
        weights_of(first)
    assert (first / "metrics.jsonl").read_bytes() == before
    assert not (first / ".lock").exists()


def test_a_run_of_a_version_without_ids_goes_on_and_has_one_from_then_on(tmp_path: Path) -> None:
    directory = run(small(tmp_path, "updates=1"))[0].directory
    info = json.loads((directory / "run.json").read_text())
    (directory / "run.json").write_text(json.dumps({key: value for key, value in info.items() if key != "id"}))
    made = directory / "checkpoints" / "update_000001"
    state = json.loads((made / "state.json").read_text())
    (made / "state.json").write_text(json.dumps({key: value for key, value in state.items() if key != "run"}))
    (made / "manifest.json").write_text(json.dumps(checkpoint.hashes(made)))
    run(small(tmp_path, "updates=2"))
    info = RunInfo.model_validate_json((directory / "run.json").read_bytes())
    assert len(info.id) == 12
    check_owner(directory / "checkpoints" / "update_000002", info)


def test_lines_that_are_gone_are_named(tmp_path: Path, capfd) -> None:
    directory = run(small(tmp_path, *STEPS, "updates=3"))[0].directory
    rows = lines(directory / "metrics.jsonl")
    (directory / "metrics.jsonl").write_text(rows[0] + rows[2])
    for name in ("samples.jsonl", "events.jsonl"):
        (directory / name).write_text("")
    info = json.loads((directory / "run.json").read_text())
    (directory / "run.json").write_text(json.dumps({**info, "versions": {**info["versions"], "torch": "1.0"}}))
    capfd.readouterr()
    run(small(tmp_path, *STEPS, "updates=4"))
    err = capfd.readouterr().err
    assert "metrics.jsonl has lost its lines of update 1; the run goes on without them" in err
    assert "samples.jsonl has lost its lines of update 0, 1, 2;" in err
    assert "events.jsonl has lost its lines of update 0;" in err
    assert "torch 1.0 then, " in err


def test_a_run_that_nobody_touched_is_told_nothing(tmp_path: Path, capfd) -> None:
    run(small(tmp_path, *STEPS, "updates=2"))
    capfd.readouterr()
    run(small(tmp_path, *STEPS, "updates=3"))
    err = capfd.readouterr().err
    assert "lost" not in err
    assert " was " not in err


def test_a_run_that_is_made_longer_has_the_samples_of_a_long_one(tmp_path: Path) -> None:
    whole, longer = tmp_path / "whole", tmp_path / "longer"
    for folder in (whole, longer):
        folder.mkdir()
    long = run(small(whole, "samples.every=3", "updates=6"))[0].directory
    short = run(small(longer, "samples.every=3", "updates=3"))[0].directory
    assert {sample["update"] for sample in sampled(short)} == {0, 2}
    run(small(longer, "samples.every=3", "updates=6"))
    assert sampled(short) == sampled(long)
    assert {sample["update"] for sample in sampled(short)} == {0, 3, 5}


@pytest.mark.parametrize("text", ["policy: {name: loc", "- 1\n", "a: &a [*a]\n", ""])
def test_a_damaged_configuration_is_one_message_and_loses_nothing(text: str, tmp_path: Path) -> None:
    directory = run(small(tmp_path, "updates=1"))[0].directory
    (directory / "config.yaml").write_text(text)
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    config = small(tmp_path, "updates=2")
    with pytest.raises(DataError, match=r"config\.yaml must be the configuration that the run wrote, and is not"):
        train(parts_of(config), config, [], "test")
    assert {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()} == before


def emptied(prompts: list[str], responses: list[str]) -> list[float]:
    """Removes the run's folder and makes an empty one in its place, once."""
    if PLACE and PLACE[0].exists():
        shutil.rmtree(PLACE[0])
        PLACE.pop().mkdir()
    return [0.0] * len(responses)


PLACE: list[Path] = []


def test_a_folder_that_was_removed_and_made_again_ends_the_run_in_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setattr("safelab.runlog.durable.FIRST_PAUSE_S", 0.0)
    sys.modules.setdefault("emptying_reward", sys.modules[__name__])
    config = small(tmp_path, "reward.name='emptying_reward:emptied'", "updates=3", "checkpoint.every=1")
    PLACE.append(tmp_path / "outputs" / "default" / "test" / "seed_0")
    outcome = train(parts_of(config), config, [], "test")
    assert outcome.status == "failed"
    assert "could not be written" in str(outcome.reason) or "were changed under it" in str(outcome.reason)
    with pytest.raises(DataError, match=r"config\.yaml must be the configuration that the run wrote"):
        train(parts_of(config), config, [], "test")


def test_versions_that_are_others_now() -> None:
    assert other_versions({"python": "2.7"})[0].startswith("python was 2.7, is 3.")
    assert other_versions({"no-such-library": "1"}) == ["no-such-library was 1, is not installed"]
