"""A run as a whole: its directory, resuming it, refusing another run's."""

import json
import sys
from pathlib import Path

import pytest
import yaml

from safelab.contracts import Empty, Forgetful, Gate
from safelab.errors import ConfigError, RunFailed
from safelab.training.lifecycle import checkpoint
from safelab.training.lifecycle import record as record_of_run
from safelab.training.lifecycle.run import is_finished, train
from safelab.types import Signals
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


@pytest.mark.parametrize(
    "algorithm",
    ["safe", "safe_released", "ppo_adaptive_kl", "ppo", "dvpo", "online_dpo", "otb", "grpo_guard", "gr", "ema_pg"],
)
def test_a_resumed_run_writes_the_rows_of_an_uninterrupted_one(algorithm: str, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    followers = {"ppo": ["critic.polyak_rate=0.1"], "ema_pg": ["controller.reference.every=1", "optimizer.lr=0.01"]}
    target = followers.get(algorithm, [])
    settings = [f"algorithm={algorithm}", "checkpoint.every=2", *target]
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


def test_a_run_whose_numbers_are_not_finite_says_so(tmp_path: Path) -> None:
    config = small(tmp_path, "optimizer.lr=1e30", "updates=6")
    outcome = train(parts_of(config), config, [], "test")
    info = json.loads((outcome.directory / "run.json").read_text())
    assert outcome.status == info["status"] == "diverged"
    assert "must be finite" in info["reason"]


def failing_later(prompts: list[str], responses: list[str]) -> list[float]:
    """Fails at the third batch, once."""
    CALLS.append(len(responses))
    if len(CALLS) == 3:
        raise ValueError("the scorer went away")
    return [float(len(text)) for text in responses]


CALLS: list[int] = []


class Breaking(Forgetful, Gate[Empty]):
    def step(self, state: Empty, signals: Signals, kl: float) -> Empty:
        raise ZeroDivisionError("no pressure")

    def factor(self, state: Empty) -> float:
        return 1.0


def test_a_part_of_the_users_own_that_raises_is_told_with_its_line(tmp_path: Path) -> None:
    config = small(tmp_path, "algorithm=safe")
    sys.modules.setdefault("breaking_part", sys.modules[__name__])
    config["controller"]["gate"] = {"name": "breaking_part:Breaking"}
    said = r"^a part of your own raised ZeroDivisionError: no pressure \(.*test_run.py, line \d+: .*\); --debug shows"
    with pytest.raises(RunFailed, match=said):
        run(config)
    info = json.loads(next((tmp_path / "outputs").rglob("run.json")).read_text())
    assert (info["status"], info["reason"][:17]) == ("failed", "ZeroDivisionError")


def test_a_reward_that_fails_loses_no_update_and_shows_its_batch(tmp_path: Path) -> None:
    sys.modules.setdefault("failing_reward", sys.modules[__name__])
    name = "reward.name='failing_reward:failing_later'"
    CALLS.append(0)
    CALLS.append(0)
    CALLS.append(0)  # never at three: the run that is compared with
    (tmp_path / "whole").mkdir()
    _, whole = run(small(tmp_path / "whole", name, "updates=4", "checkpoint.every=0"))
    CALLS.clear()
    (tmp_path / "cut").mkdir()
    config = small(tmp_path / "cut", name, "updates=4", "checkpoint.every=0")
    outcome, rows = run(config)
    assert (outcome.status, len(rows)) == ("failed", 2)
    assert "the scorer went away" in str(outcome.reason)
    assert "and the same command goes on from the last update (with resume.allow" in str(outcome.reason)
    batch = json.loads((outcome.directory / "failed_reward.json").read_text())
    assert len(batch["prompts"]) == len(batch["responses"]) == 8
    resumed, rows = run(config)
    assert resumed.status == "finished"
    assert numbers(rows) == numbers(whole)


def test_a_time_limit_saves_and_ends_and_the_run_goes_on(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    _, whole = run(small(tmp_path / "whole", "algorithm=safe"))
    config = small(tmp_path / "cut", "algorithm=safe")
    outcome, rows = run({**config, "limit": {"minutes": 1e-9}})
    assert (outcome.status, outcome.expected, len(rows)) == ("interrupted", True, 1)
    assert outcome.reason == "limit.minutes=1e-09 was reached after update 0"
    _, rows = run(config)
    assert numbers(rows) == numbers(whole)


def test_a_run_goes_on_with_the_inputs_it_began_with_only(tmp_path: Path) -> None:
    config = small(tmp_path, "updates=2", "checkpoint.every=1")
    outcome, _ = run(config)
    kept = json.loads((outcome.directory / "inputs.json").read_text())
    assert {"policy.path", "data.path", "reward.name"} == kept.keys()
    (tmp_path / "prompts.txt").write_text("a b\n")
    with pytest.raises(ConfigError, match=r"data\.path: prompts\.txt.*'resume\.allow=\[data\.path\]'"):
        run({**config, "updates": 3})
    assert json.loads((outcome.directory / "inputs.json").read_text()) == kept
    _, rows = run({**config, "updates": 3, "resume": {"mode": "auto", "allow": ["data.path"]}})
    assert len(rows) == 3
    events = [json.loads(line) for line in (outcome.directory / "events.jsonl").read_text().splitlines()]
    (event,) = [event for event in events if event["kind"] == "inputs_changed"]
    assert event == {"update": 2, "kind": "inputs_changed", "inputs": {"data.path": ["prompts.txt"]}}
    _, rows = run({**config, "updates": 4})  # what it went on with is what it has now
    assert len(rows) == 4


def fails_at_once(prompts: list[str], responses: list[str]) -> list[float]:
    raise KeyError("a bug")


def test_a_run_that_failed_before_its_first_update_binds_nobody(tmp_path: Path) -> None:
    sys.modules.setdefault("failing_reward", sys.modules[__name__])
    config = small(tmp_path, "updates=2")
    mended = config["reward"]
    broken = {**config, "reward": {**mended, "name": "failing_reward:fails_at_once"}}
    outcome = train(parts_of(broken), broken, ["test"], "test")
    assert outcome.status == "failed"
    assert str(outcome.reason).endswith("and the same command begins anew")
    (tmp_path / "prompts.txt").write_text("a b\n")
    outcome, rows = run({**config, "reward": mended})
    assert (outcome.status, len(rows)) == ("finished", 2)
    assert yaml.safe_load((outcome.directory / "config.yaml").read_text())["reward"] == mended


def test_other_code_and_versions_are_told_once_and_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = small(tmp_path, "updates=1")
    outcome, _ = run(config)
    first = json.loads((outcome.directory / "run.json").read_text())
    assert first["went_on_with"] == []
    monkeypatch.setattr(record_of_run, "git_commit", lambda: "other")
    monkeypatch.setattr(record_of_run, "versions", lambda: {**first["versions"], "torch": "9.9"})
    capsys.readouterr()
    run({**config, "updates": 2})
    printed = capsys.readouterr().err
    assert "from update 1 on other code goes on with this run than before: " in printed
    assert f"git_commit {first['git_commit']} then, other now" in printed
    assert f"torch {first['versions']['torch']} then, 9.9 now" in printed
    run({**config, "updates": 3})
    assert "other code" not in capsys.readouterr().err
    record = json.loads((outcome.directory / "run.json").read_text())
    assert (record["git_commit"], record["versions"]) == (first["git_commit"], first["versions"])
    (later,) = record["went_on_with"]
    assert (later["update"], later["git_commit"], later["versions"]["torch"]) == (1, "other", "9.9")


def test_resume_never_refuses_a_run_and_must_refuses_none(tmp_path: Path) -> None:
    never = {"resume": {"mode": "never", "allow": []}}
    must = {"resume": {"mode": "must", "allow": []}}
    config = small(tmp_path, "updates=2", "checkpoint.every=1")
    with pytest.raises(ConfigError, match=r"got must: .* holds no run with a whole checkpoint"):
        run({**config, **must})
    assert not (tmp_path / "outputs").exists()
    run({**config, **never})
    with pytest.raises(ConfigError, match=r"got never: .* holds a run"):
        run({**config, **never, "updates": 3})
    _, rows = run({**config, **must, "updates": 3})
    assert [row["update"] for row in rows] == [0, 1, 2]


def test_what_resume_allows_may_differ_and_is_written_down(tmp_path: Path) -> None:
    run(small(tmp_path, "updates=2"))
    changed = ["updates=3", "optimizer.lr=1e-3", "guard=stop"]
    with pytest.raises(ConfigError, match=r"go on all the same with 'resume\.allow=\[guard.crashes"):
        run(small(tmp_path, *changed))
    config = small(tmp_path, *changed, "resume.allow=[optimizer.lr,guard]")
    outcome, rows = run(config)
    assert [row["policy/lr"] for row in rows] == [3e-4, 3e-4, 1e-3]
    events = [json.loads(line) for line in (outcome.directory / "events.jsonl").read_text().splitlines()]
    (event,) = [event for event in events if event["kind"] == "config_changed"]
    assert event["changes"]["optimizer.lr"] == [3e-4, 1e-3]
    assert yaml.safe_load((outcome.directory / "config.yaml").read_text())["guard"]["name"] == "stop"


def test_a_guard_ends_a_run_as_diverged(tmp_path: Path) -> None:
    outcome, rows = run(small(tmp_path, "guard=stop", "guard.kl_ceiling=1e-9", "optimizer.lr=1e-2", "updates=5"))
    assert outcome.status == json.loads((outcome.directory / "run.json").read_text())["status"] == "diverged"
    assert len(rows) < 5
    assert "above 1e-09" in str(outcome.reason)
