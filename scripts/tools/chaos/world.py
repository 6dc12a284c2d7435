"""The run that is broken: made in a forked child of a process that has imported everything, so in a second or two."""

import io
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from safelab.app import cli
from safelab.app.commands.train import single
from safelab.app.config.compose import compose, opened
from safelab.app.config.jobs import Job, to_job
from scripts.tools import tiny
from scripts.tools.preset_rows import MEASURED

UPDATES = 10
SETTINGS = (
    "algorithm=safe", f"updates={UPDATES}", "checkpoint.every=2", "samples.every=3", "optimizer.lr=3e-3",
    "guard=rollback", "guard.kl_ceiling=0.13", "guard.lr_factor=0.25", "guard.max_rollbacks=9", "arm=x",
)  # fmt: skip
"""Rollbacks on the way, so that they are under fire, too."""

LEFTOVERS = (".lock", ".run.json.*", ".metrics.jsonl.*", "checkpoints/.*")
LONGEST_S = 120.0


@dataclass(slots=True)
class Campaign:
    """What one kind of fault came to."""

    name: str
    tries: int = 0
    findings: list[str] = field(default_factory=list)

    def found(self, text: str) -> None:
        """Something is wrong."""
        self.findings.append(f"{self.name}: {text}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a child ended: exit code (negative: by that signal), and all that it printed."""

    code: int
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A folder with prompts, the command that trains there, and what an undisturbed run leaves."""

    folder: Path
    overrides: tuple[str, ...]
    reference: dict[str, list[Any]]
    seconds: float

    job: Job

    def command(self, output: Path) -> list[str]:
        """``safelab`` arguments of the run in ``output``."""
        return ["train", *self.overrides, f"output_dir={output}"]

    def train(self, output: Path, **changes: Any) -> int:
        """In a child: what ``safelab train`` does once the configuration is composed."""
        job = replace(self.job, config={**self.job.config, "output_dir": str(output), **changes})
        cli.dispatch = lambda arguments: single(job)  # type: ignore[assignment]
        return cli.main(["train"])


def make_world(folder: Path) -> World:
    """The world, with one undisturbed run made."""
    overrides = (*tiny.overrides(folder), *SETTINGS)
    with opened() as hydra:
        job = to_job(compose(hydra, overrides))
    made = World(folder=folder, overrides=overrides, reference={}, seconds=0.0, job=job)
    output = folder / "reference"
    began = time.monotonic()
    ended = in_child(lambda: made.train(output))
    seconds = time.monotonic() - began
    assert ended.code == 0, ended.output
    reference = record(run_of(output))
    assert sum(event["kind"] == "rollback" for event in reference["events.jsonl"]) >= 2, (
        "the faults must meet rollbacks"
    )
    return replace(made, reference=reference, seconds=seconds)


def run_of(output: Path, seed: int = 0) -> Path:
    """The run's directory."""
    return output / "default" / "x" / f"seed_{seed}"


def record(run: Path) -> dict[str, list[Any]]:
    """All lines of a run, without what differs from run to run."""
    found = {}
    for name in ("metrics.jsonl", "samples.jsonl", "events.jsonl"):
        path = run / name
        lines = path.read_text().splitlines() if path.exists() else []
        found[name] = [without_measures(json.loads(line)) for line in lines]
    return found


def without_measures(line: dict[str, Any]) -> dict[str, Any]:
    """A line without what a clock or a memory meter tells."""
    return {key: value for key, value in line.items() if not key.startswith(MEASURED)}


def differences(run: Path, reference: dict[str, list[Any]]) -> list[str]:
    """What a finished run has otherwise than the reference."""
    there = record(run)
    said = []
    for name, lines in reference.items():
        odd = [place for place, (one, two) in enumerate(zip(lines, there[name], strict=False)) if one != two]
        if odd or len(lines) != len(there[name]):
            said.append(f"{name}: {len(there[name])} lines for {len(lines)}, {odd[:5]} differ")
    left = [str(path.relative_to(run)) for pattern in LEFTOVERS for path in run.glob(pattern)]
    status = json.loads((run / "run.json").read_text())["status"]
    return said + ([f"left over: {left}"] if left else []) + ([] if status == "finished" else [f"status {status}"])


def start(work: Callable[[], int]) -> tuple[int, Path]:
    """Fork a child that does ``work`` and exits with its result; its pid, and the file of its output."""
    log = Path(os.environ.get("TMPDIR", "/tmp")) / f"safelab-chaos-{os.getpid()}-{next(COUNT)}.log"
    sys.stdout.flush()
    sys.stderr.flush()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)  # here, for a child may be killed before its first line
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            os.dup2(file, 1)
            os.dup2(file, 2)
            # pytest's own capture would swallow what is meant for the files above.
            sys.stdout, sys.stderr = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), line_buffering=True), None
            sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), line_buffering=True)
            code = work()
        except BaseException:  # noqa: BLE001 (a child of ours ends here, whatever comes, and says so)
            traceback.print_exc()
            code = 99
        os._exit(code)
    os.close(file)
    return pid, log


COUNT = iter(range(10**9))


def wait_for(pid: int, log: Path, limit: float = LONGEST_S) -> Ended:
    """Wait until the child has ended; one that takes too long is killed, and its code is that of SIGALRM."""
    deadline = time.monotonic() + limit
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            status = signal.SIGALRM
            break
        time.sleep(0.005)
    output = log.read_text(errors="replace")
    log.unlink()
    return Ended(code=os.waitstatus_to_exitcode(status), output=output)


def in_child(work: Callable[[], int]) -> Ended:
    """Do ``work`` in a child, to its end."""
    return wait_for(*start(work))


def finish(world: World, output: Path, campaign: Campaign, what: str) -> None:
    """Run the command undisturbed; it must end well, with the reference's lines."""
    ended = in_child(lambda: world.train(output))
    if ended.code != 0:
        campaign.found(f"{what}: the same command ended with {ended.code}: {ended.output[-600:]}")
        return
    for said in differences(run_of(output), world.reference):
        campaign.found(f"{what}: {said}")
    shutil.rmtree(output)


def refused_well(ended: Ended, campaign: Campaign, what: str) -> None:
    """A run that could not go on says so in one message, with code 1 or 2 and no traceback."""
    if "Traceback" in ended.output or ended.code not in (1, 2) or "error: " not in ended.output:
        campaign.found(f"{what}: ended with {ended.code}: {ended.output[-600:]}")
