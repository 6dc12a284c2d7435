"""``safelab train -m`` with the local launcher, as a user meets it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from safelab.runlog.lock import Lock
from support.commands import CALL, Done, call, environment, small_overrides
from support.runs import numbers

# A reward that raises for one seed only: the function sees no seed, so the sweep names the function.
REWARDS = """
def good(prompts, responses):
    return [response.split().count("good") / max(1, len(response.split())) for response in responses]

def broken(prompts, responses):
    print("about to divide")
    return [1 / 0 for _ in responses]

def with_children(prompts, responses):
    import multiprocessing, os, subprocess, time
    from pathlib import Path
    started = Path("children.txt")
    if not started.exists():
        engine = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(1000,))
        engine.start()
        other = subprocess.Popen(["sleep", "1000"])
        started.write_text(f"{engine.pid} {other.pid}")
        if os.environ.get("DIE"):
            os.kill(os.getpid(), 9)
    return good(prompts, responses)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rewards.py").write_text(REWARDS)
    return tmp_path


def info(run: Path) -> dict:
    return json.loads((run / "run.json").read_text())


def test_a_sweep_goes_on_past_a_failed_job_and_does_nothing_twice(folder: Path, safelab: Callable[..., Done]) -> None:
    sweep = [
        "train", "-m", *small_overrides(folder), "experiment=e",
        "reward.name='rewards:good','rewards:broken'", "seed=0,1", "hydra.launcher.workers=2",
    ]  # fmt: skip
    first = safelab(*sweep)
    assert first.code == 1, first
    assert first.out.count(" started\n") == 4
    assert first.out.count(" finished in ") == 2
    assert first.out.count("ZeroDivisionError: division by zero") == 2
    assert "2 of 4 jobs are done" in first.out
    assert first.err.count("failed: ") == 2
    assert "    | about to divide" in first.err

    runs = sorted((folder / "outputs" / "e").glob("*/seed_*"))
    assert sorted(info(run)["status"] for run in runs) == ["failed", "failed", "finished", "finished"]
    assert all((run / "log.txt").is_file() for run in runs)
    at_top = {path.name for path in folder.iterdir()} - {"__pycache__"}
    assert at_top == {"outputs", "prompts.txt", "rewards.py"}
    assert {path.name for path in (folder / "outputs" / "e").iterdir()} == {run.parent.name for run in runs}

    (good,) = {run.parent for run in runs if info(run)["status"] == "finished"}
    before = {path: path.stat().st_mtime_ns for path in good.rglob("*")}
    second = safelab(*sweep)
    assert second.code == 1
    assert second.out.count("finished already: ") == 2
    assert {path: path.stat().st_mtime_ns for path in good.rglob("*")} == before


def test_ctrl_c_saves_every_job_and_the_same_command_goes_on(folder: Path, safelab: Callable[..., Done]) -> None:
    words = [word for word in small_overrides(folder) if not word.startswith("updates=")]
    sweep = ["train", "-m", *words, "reward.name='rewards:good'", "seed=0,1,2", "arm=x", "hydra.launcher.workers=2"]
    command = [sys.executable, "-c", CALL, *sweep, "updates=4000"]
    parent = subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
        # Tests that a shell started in its background inherit "ignore Ctrl-C", which is right there and not meant here.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    runs = [folder / "outputs" / "default" / "x" / f"seed_{seed}" for seed in (0, 1)]
    deadline = time.monotonic() + 90
    while not all((run / "metrics.jsonl").exists() for run in runs):
        assert time.monotonic() < deadline, parent.communicate(timeout=5)
        time.sleep(0.1)
    os.kill(parent.pid, signal.SIGINT)
    out, err = parent.communicate(timeout=60)
    assert parent.returncode == 130, (out, err)
    assert err.endswith("the same command goes on with the jobs that are not finished\ninterrupted\n")
    assert "Traceback" not in err
    assert [info(run)["status"] for run in runs] == ["interrupted", "interrupted"]
    assert not runs[0].with_name("seed_2").exists()

    reached = min(info(run)["last_update"] for run in runs)
    resumed = safelab(*sweep, f"updates={reached + 40}")
    assert resumed.code == 0, resumed
    rows = [json.loads(line)["update"] for line in (runs[0] / "metrics.jsonl").read_text().splitlines()]
    assert rows == list(range(len(rows)))
    assert info(runs[0])["status"] == "finished"


def test_a_job_that_cannot_be_built_makes_no_directory(folder: Path, safelab: Callable[..., Done]) -> None:
    words = small_overrides(folder)
    words[words.index(next(word for word in words if word.startswith("data.path=")))] = "data.path=absent.txt"
    done = safelab("train", "-m", *words, "seed=0,1")
    assert done.code == 1
    assert "absent.txt" in done.err
    assert not (folder / "outputs").exists()


ARMS = """# @package _global_
experiment: mine
arms:
  ppo: {algorithm: ppo}
  no_gate: {algorithm: safe, controller/gate: none, optimizer.lr: 1.0e-4}
  left_out: {algorithm: safe}
seed: range(2)
"""


def test_arms_of_a_users_file_by_the_launcher_of_hydra_itself(folder: Path, safelab: Callable[..., Done]) -> None:
    (folder / "conf" / "sweep").mkdir(parents=True)
    (folder / "conf" / "sweep" / "mine.yaml").write_text(ARMS)
    words = [*small_overrides(folder), "updates=1", "hydra/launcher=basic"]
    done = safelab("train", "--config-dir", "conf", "+sweep=mine", "arms=[ppo,no_gate]", *words)
    assert done.code == 0, done
    assert "4 of 4 jobs are done" in done.out
    runs = [folder / "outputs" / "mine" / arm / f"seed_{seed}" for arm in ("ppo", "no_gate") for seed in (0, 1)]
    assert sorted((folder / "outputs").glob("*/*/seed_*")) == sorted(runs)
    assert [info(run)["arm"] for run in runs] == ["ppo", "ppo", "no_gate", "no_gate"]
    config = yaml.safe_load((runs[-1] / "config.yaml").read_text())
    assert "arms" not in config
    assert (config["seed"], config["arm"], config["optimizer"]["lr"]) == (1, "no_gate", 1e-4)
    assert config["controller"]["gate"]["name"] == "none"

    report = safelab("report", "outputs/mine", "--baseline", "ppo")
    assert report.code == 0, report
    assert "no_gate" in report.out


def test_a_run_is_the_same_alone_and_beside_others(folder: Path, safelab: Callable[..., Done]) -> None:
    words = [*small_overrides(folder), "reward.name='rewards:good'", "arm=x", "algorithm=safe"]
    assert safelab("train", "-m", *words, "seed=0,1", "hydra.launcher.workers=2").code == 0
    for seed in (0, 1):
        assert safelab("train", *words, f"seed={seed}", "experiment=alone").code == 0
        together, alone = (
            numbers([json.loads(line) for line in (folder / "outputs" / name / "x" / f"seed_{seed}" / "metrics.jsonl")
                     .read_text().splitlines()]) for name in ("default", "alone")
        )  # fmt: skip
        assert len(together) == 3
        assert together == alone


def test_two_sweeps_of_one_experiment_are_one_too_many(folder: Path, safelab: Callable[..., Done]) -> None:
    (folder / "outputs" / "default").mkdir(parents=True)
    lock = Lock.take(folder / "outputs" / "default", "")
    second = safelab("train", "-m", *small_overrides(folder), "seed=0,1")
    assert second.code == 2
    assert f"process {os.getpid()} on" in second.err
    assert "wait for that sweep, or give this one another experiment or output_dir" in second.err
    assert "Traceback" not in second.err
    lock.release()


@pytest.mark.parametrize("killed", [pytest.param(False, marks=pytest.mark.long), True])
def test_what_a_job_has_started_ends_with_it(
    folder: Path, safelab: Callable[..., Done], monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    """An engine beside the trainer, say. A daemonic process could start none."""
    monkeypatch.setenv("DIE", "1" if killed else "")
    sweep = ["train", "-m", *small_overrides(folder), "reward.name='rewards:with_children'", "seed=0", "arm=x"]
    # In a process of its own, as the server that jobs are forked from keeps the variables it began with.
    done = call(folder, *sweep)
    assert done.code == (1 if killed else 0), done
    if killed:
        assert "its process was ended by SIGKILL, out of memory perhaps" in done.out
    for pid in map(int, (folder / "children.txt").read_text().split()):
        deadline = time.monotonic() + 10
        while lives(pid):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
