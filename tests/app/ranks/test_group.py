"""How the processes of a run find each other: real ones, started by the command line."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from safelab.app.cli import main
from safelab.app.config.build import context_for, pick_device
from safelab.app.config.jobs import Job
from safelab.app.ranks import spawn
from safelab.app.ranks.group import of_job
from safelab.errors import ConfigError, RunFailed
from safelab.ranks import Ranks
from support.commands import environment
from support.runs import numbers, small


def given(config: dict) -> list[str]:
    """The command line of ``small``'s run."""
    keys = {
        "policy": "local", "policy.path": config["policy"]["path"], "data": "text",
        "data.path": config["data"]["path"], "reward": "function", "reward.name": "support.runs:share_of_good",
        "rollout.batch_size": 8, "rollout.max_new_tokens": 6, "output_dir": config["output_dir"], "arm": "test",
    }  # fmt: skip
    return ["train", *(f"{key}={value}" for key, value in keys.items())]


def rows(directory: Path) -> list[dict]:
    return numbers([json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()])


def test_a_run_of_two_processes_has_the_rows_of_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = given(small(tmp_path))
    assert main([*command, "updates=2", "ranks=2", "experiment=two"]) == 0
    assert main([*command, "updates=2", "optimizer.micro_batch_size=4", "experiment=one"]) == 0
    two, one = (tmp_path / "outputs" / name / "test" / "seed_0" for name in ("two", "one"))
    assert rows(two) == rows(one)
    row = json.loads((two / "metrics.jsonl").read_text().splitlines()[-1])
    assert 0 < row["time/exchange_s"] < row["time/total_s"]
    # Another number of ranks is no other run.
    assert main([*command, "updates=3", "ranks=1", "experiment=two"]) == 0
    assert len(rows(two)) == 3
    assert capsys.readouterr().out.splitlines()[0] == f"finished: {two}"


def test_a_helper_that_is_killed_ends_the_run_in_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[spawn.Helper] = []
    start = spawn._start

    def seen(*arguments: object) -> spawn.Helper:
        started.append(start(*arguments))
        return started[-1]

    def killing(prompts: list[str], responses: list[str]) -> list[float]:
        if (tmp_path / "outputs/default/test/seed_0/samples.jsonl").exists():
            os.kill(started[0].pid, signal.SIGKILL)
        return [0.5] * len(responses)

    monkeypatch.setattr(spawn, "_start", seen)
    monkeypatch.setattr("support.runs.share_of_good", killing)
    assert main([*given(small(tmp_path)), "updates=5", "ranks=2", "rollout.batch_size=8"]) == 1
    assert "a process of this run is gone (rank 1 ended by signal 9" in capsys.readouterr().err
    assert json.loads((tmp_path / "outputs/default/test/seed_0/run.json").read_text())["status"] == "failed"


IMPATIENT = """
import sys
from safelab.app.ranks import group
group.APART_S = group.PATIENCE_S = 3.0
sys.executable = sys.argv.pop(1)
from safelab.app.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize("who", ["first", pytest.param("helper", marks=pytest.mark.long)])
def test_a_rank_that_fails_alone_leaves_nobody_waiting(tmp_path: Path, who: str) -> None:
    (tmp_path / "rewards.py").write_text(
        "import sys, torch\n"
        "from safelab.errors import RunFailed\n"
        "def step(*_, **__):\n"
        "    raise RunFailed('only here')\n"
        "def reward(prompts, responses):\n"
        f"    if ('helper' in str(getattr(sys.modules['__main__'], '__file__', ''))) == {who == 'helper'}:\n"
        "        torch.optim.AdamW.step = step\n"
        "    return [0.5] * len(responses)\n"
    )
    words = [*given(small(tmp_path)), "reward.name=rewards:reward", "updates=3", "ranks=2"]
    done = subprocess.run(
        [sys.executable, "-c", IMPATIENT, sys.executable, *words],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done
    rank = 1 if who == "helper" else 0
    assert f"rank {rank} failed where the others did not (only here)" in done.stderr


def test_a_helper_that_is_gone_before_the_meeting_leaves_nobody_waiting(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nread task\necho ready\necho 'no room left' >&2\nexit 3\n")
    broken.chmod(0o755)
    words = [*given(small(tmp_path)), "updates=3", "ranks=2"]
    done = subprocess.run(
        [sys.executable, "-c", IMPATIENT, str(broken), *words],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done
    assert "a process of this run is gone (rank 1 ended with code 3: no room left)" in done.stderr


def job(**config: object) -> Job:
    return Job(config={"ranks": 2, "device": "cpu", "seed": 0, **config}, overrides=())


def test_a_helper_that_cannot_start_is_told_with_its_last_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'no room left' >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(spawn.sys, "executable", str(broken))
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    with pytest.raises(RunFailed, match="rank 1 of 2 could not start: no room left"), of_job(job()):
        pytest.fail("the run must not begin")
    assert "GLOO_SOCKET_IFNAME" not in os.environ, "what comes after may be on other machines"


def test_torchrun_must_start_as_many_as_there_are_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ConfigError, match="ranks must be the number of processes that torchrun starts, 3, got 2"):
        next(of_job(job()).gen)


def test_each_rank_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    config = {"ranks": 3, "device": "auto", "seed": 0}
    assert context_for(config, print, Ranks(2, 3, 2)).device == torch.device("cuda", 2)
    assert context_for({**config, "ranks": 8}, print).device == torch.device("cuda"), "one process looks at a run"
    with pytest.raises(ConfigError, match="ranks must be at most the 4 GPUs that are visible here, got 5"):
        pick_device("cuda", 5)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert context_for({**config, "ranks": 8}, print, Ranks(6, 8, 2)).device == torch.device("cuda", 2)
