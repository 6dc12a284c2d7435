"""kill -9 of a run, of a sweep's launcher, and of its jobs."""

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from safelab.app import cli
from scripts.tools.chaos.world import (
    LONGEST_S,
    Campaign,
    World,
    differences,
    finish,
    in_child,
    record,
    run_of,
    start,
    wait_for,
)
from scripts.tools.chaos.writes import with_faults


def kills_at_random(world: World, count: int, rng: random.Random) -> Campaign:
    """Kill -9 at random moments, the same command again each time until it ends well: no row lost, none twice."""
    campaign = Campaign("kill -9 at a random moment")
    lives = 0
    while campaign.tries < count:
        lives += 1
        output = world.folder / f"random_{lives}"
        for _ in range(rng.randint(1, 12)):
            pid, log = start(lambda output=output: world.train(output))
            time.sleep(rng.uniform(0.0, 1.2 * world.seconds))
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            ended = wait_for(pid, log)
            campaign.tries += ended.code == -signal.SIGKILL
            if ended.code not in (-signal.SIGKILL, 0):
                campaign.found(f"life {lives}: ended with {ended.code} before its kill: {ended.output[-600:]}")
        finish(world, output, campaign, f"life {lives}")
    return campaign


def kills_at_writes(world: World, points: Sequence[int]) -> Campaign:
    """Kill -9 at the n-th write of the run's files, for each n."""
    campaign = Campaign("kill -9 at a write")
    for point in points:
        output = world.folder / f"write_{point}"
        ended = in_child(lambda output=output, point=point: with_faults(world, output, point, "kill"))
        campaign.tries += ended.code == -signal.SIGKILL
        finish(world, output, campaign, f"write {point}")
    return campaign


def kills_of_sweeps(world: World, count: int, rng: random.Random) -> Campaign:
    """Kill -9 of the launcher or of one of its jobs; the same sweep again finishes what is missing."""
    campaign = Campaign("kill -9 in a sweep")
    seeds = (0, 1, 2)
    words = ["-m", "seed=0,1,2", "hydra.launcher.workers=2"]
    references = {seed: seed_reference(world, seed) for seed in seeds}
    while campaign.tries < count:
        output = world.folder / f"sweep_{campaign.tries}"
        command = [*world.command(output), *words]
        for _ in range(2):
            pid, log = start(lambda command=command: cli.main(command))
            victim = wait_for_victim(pid, output, rng)
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
            ended = wait_for(pid, log)
            campaign.tries += 1
            expected = (-signal.SIGKILL, 0) if victim == pid else (1, 0)
            if ended.code not in expected or "Traceback" in ended.output:
                campaign.found(f"sweep ended with {ended.code} after a kill: {ended.output[-600:]}")
            wait_until_free(output, seeds)
        ended = in_child(lambda command=command: cli.main(command))
        if ended.code != 0:
            campaign.found(f"the same sweep ended with {ended.code}: {ended.output[-600:]}")
        for seed in seeds:
            for said in differences(run_of(output, seed), references[seed]):
                campaign.found(f"sweep, seed {seed}: {said}")
        shutil.rmtree(output)
    return campaign


def seed_reference(world: World, seed: int) -> dict[str, list[Any]]:
    """What an undisturbed run of another seed leaves, made without a sweep."""
    output = world.folder / f"reference_{seed}"
    ended = in_child(lambda: cli.main([*world.command(output), f"seed={seed}"]))  # data.seed follows it
    assert ended.code == 0, ended.output
    return record(run_of(output, seed))


def wait_for_victim(launcher: int, output: Path, rng: random.Random) -> int:
    """The launcher, or one of its jobs, at a random moment after the first job has begun."""
    runs = output / "default" / "x"
    deadline = time.monotonic() + LONGEST_S
    while time.monotonic() < deadline and not list(runs.glob("*/run.json")):
        if os.waitid(os.P_PID, launcher, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return launcher
        time.sleep(0.02)
    time.sleep(rng.uniform(0.0, 1.0))
    jobs = []
    for path in runs.glob("*/run.json"):
        info = json.loads(path.read_text())
        jobs += [info["pid"]] if info["status"] == "running" else []
    return rng.choice(jobs) if jobs and rng.random() < 0.5 else launcher


def wait_until_free(output: Path, seeds: Sequence[int]) -> None:
    """Until the jobs of a dead launcher have saved themselves, as they do when it is gone."""
    deadline = time.monotonic() + 20.0
    while time.monotonic() < deadline and any((run_of(output, seed) / ".lock").exists() for seed in seeds):
        held = [run_of(output, seed) / ".lock" for seed in seeds]
        if not any(path.exists() and alive(json.loads(path.read_text() or '{"pid": 0}')["pid"]) for path in held):
            return
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        return pid > 0 and Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
