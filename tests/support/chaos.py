"""Faults for whole runs: killed, out of disk, bits flipped; in full by scripts/chaos.py, in short by the tests.

Each campaign gives its tries and what was found wrong; a sound tree gives no finding. A run is made in a forked child
of a process that has imported everything, so that it takes a second or two.
"""

import errno
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from safelab.app import cli
from safelab.app.commands.train import single
from safelab.app.config.compose import compose, opened
from safelab.app.config.jobs import Job, to_job
from safelab.runlog import durable, writer
from safelab.training.lifecycle import checkpoint
from support.commands import small_overrides
from support.runs import numbers

UPDATES = 10
SETTINGS = (
    "algorithm=safe", f"updates={UPDATES}", "checkpoint.every=2", "samples.every=3", "optimizer.lr=3e-3",
    "guard=rollback", "guard.kl_ceiling=0.1", "guard.lr_factor=0.25", "guard.max_rollbacks=9", "arm=x",
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
    overrides = (*(word for word in small_overrides(folder) if not word.startswith("updates=")), *SETTINGS)
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
        found[name] = numbers([json.loads(line) for line in lines])
    return found


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


# Kills


def kills_at_random(world: World, count: int, rng: random.Random) -> Campaign:
    """kill -9 at random moments, the same command again each time until it ends well: no row lost, none twice."""
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
    """kill -9 at the n-th write of the run's files, for each n."""
    campaign = Campaign("kill -9 at a write")
    for point in points:
        output = world.folder / f"write_{point}"
        ended = in_child(lambda output=output, point=point: with_faults(world, output, point, "kill"))
        campaign.tries += ended.code == -signal.SIGKILL
        finish(world, output, campaign, f"write {point}")
    return campaign


def kills_of_sweeps(world: World, count: int, rng: random.Random) -> Campaign:
    """kill -9 of the launcher or of one of its jobs; the same sweep again finishes what is missing."""
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


# Writes that fail


class Faults:
    """Counts what is written below ``root``; the write number ``at`` fails, or all from there on, or it kills us."""

    def __init__(self, root: Path, at: int | None, act: str) -> None:
        self.root, self.at, self.act = str(root), at, act
        self.count = 0

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """``sys.addaudithook``: opening for writing, renaming, making and removing."""
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR) and self.ours(path):
                self.next(path)
        elif event in ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate") and self.ours(arguments[0]):
            self.next(arguments[0])

    def ours(self, path: Any) -> bool:
        """Whether it is one of the run's."""
        return isinstance(path, str | os.PathLike) and str(path).startswith(self.root)

    def next(self, what: Any) -> None:
        """One more write."""
        here, self.count = self.count, self.count + 1
        if self.at is None or here < self.at or (self.act != "always" and here > self.at):
            return
        if self.act == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        number = errno.ENOSPC if self.at % 2 else errno.EIO
        raise OSError(number, os.strerror(number), str(what))


def with_faults(world: World, output: Path, at: int | None, act: str, total: Path | None = None) -> int:
    """In a child: the run, with one of its writes failing; the number of all writes goes to ``total``."""
    faults = Faults(output, at, act)
    sync = os.fsync

    def failing_sync(descriptor: int) -> None:
        faults.next(f"descriptor {descriptor}")
        sync(descriptor)

    class HalfWritten(io.FileIO):
        def write(self, data: Any) -> int:
            try:
                faults.next("a line")
            except OSError:
                super().write(data[: len(data) // 2])
                raise
            return super().write(data)

    durable.FIRST_PAUSE_S = 0.001
    os.fsync = failing_sync
    writer.open = lambda path, mode, buffering: HalfWritten(path, mode)  # type: ignore[attr-defined]
    sys.addaudithook(faults.audit)
    code = world.train(output)
    faults.at = None
    if total is not None:
        total.write_text(str(faults.count))
    return code


def count_writes(world: World) -> int:
    """How many writes an undisturbed run makes."""
    total = world.folder / "total"
    output = world.folder / "counted"
    ended = in_child(lambda: with_faults(world, output, None, "once", total))
    assert ended.code == 0, ended.output
    shutil.rmtree(output)
    return int(total.read_text())


def writes_that_fail(world: World, points: Sequence[int], act: str) -> Campaign:
    """The n-th write fails once: the run goes on, or refuses well. With ``always`` it ends well, and goes on later."""
    campaign = Campaign(f"a write that fails ({act})")
    for point in points:
        output = world.folder / f"{act}_{point}"
        what = f"{act} {point}"
        ended = in_child(lambda output=output, point=point: with_faults(world, output, point, act))
        campaign.tries += 1
        if ended.code != 0:
            refused_well(ended, campaign, what)
        elif differing := differences(run_of(output), world.reference):
            campaign.found(f"{what}: went on, but {differing}")
        if output.exists():
            finish(world, output, campaign, what)
        elif ended.code == 0:
            campaign.found(f"{what}: ended well without output")
    return campaign


@contextmanager
def tmpfs(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own at ``folder``; only root may mount one."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def may_mount(folder: Path) -> bool:
    """Whether a tmpfs can be mounted here."""
    try:
        with tmpfs(folder / "probe", "64k"):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def full_disks(world: World, sizes_kib: Sequence[int]) -> Campaign:
    """A file system that becomes full, at another write for each size; then it grows, and the command goes on."""
    campaign = Campaign("a full disk")
    for size in sizes_kib:
        with tmpfs(world.folder / "disk", f"{size}k") as disk:
            ended = in_child(lambda disk=disk: impatient(world, disk / "out"))
            campaign.tries += 1
            if ended.code != 0:
                refused_well(ended, campaign, f"{size} KiB")
            subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
            finish(world, disk / "out", campaign, f"{size} KiB")
    return campaign


def read_only_disks(world: World, moments: Sequence[float]) -> Campaign:
    """A file system that becomes read-only after a share of the run (0: before it); then writable again."""
    campaign = Campaign("a disk that becomes read-only")
    for moment in moments:
        with tmpfs(world.folder / "disk", "64m") as disk:
            if moment == 0.0:
                subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
                ended = in_child(lambda disk=disk: impatient(world, disk / "out"))
            else:
                pid, log = start(lambda disk=disk: impatient(world, disk / "out"))
                deadline = time.monotonic() + 1.5 * moment * world.seconds
                while time.monotonic() < deadline or not remount_read_only(disk):
                    time.sleep(0.002)
                ended = wait_for(pid, log)
            campaign.tries += 1
            if ended.code != 0:
                refused_well(ended, campaign, f"after {moment:g}")
            subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
            finish(world, disk / "out", campaign, f"after {moment:g}")
    return campaign


def remount_read_only(disk: Path) -> bool:
    """Refused while a file is open for writing: a forced one is what a failing disk does to itself."""
    done = subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=False, capture_output=True)
    return done.returncode == 0


def lost_folders(world: World, count: int, rng: random.Random) -> Campaign:
    """The run's folder is removed under it: it says so and ends; it does not go on into nowhere."""
    campaign = Campaign("a folder that is removed")
    for number in range(count):
        output = world.folder / f"lost_{number}"
        pid, log = start(lambda output=output: impatient(world, output))
        rows = run_of(output) / "metrics.jsonl"
        while not rows.exists() and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.001)
        time.sleep(rng.uniform(0.0, 0.3))
        shutil.rmtree(output, ignore_errors=True)
        ended = wait_for(pid, log)
        campaign.tries += 1
        if ended.code != 0:
            refused_well(ended, campaign, f"try {number}")
        elif not run_of(output).exists():
            # It had written its last line before; nothing was to be lost any more.
            campaign.tries -= 1
        shutil.rmtree(output, ignore_errors=True)
    return campaign


def impatient(world: World, output: Path) -> int:
    """The run without its pauses before a second try."""
    durable.FIRST_PAUSE_S = 0.001
    return world.train(output)


# Bits


def flips(world: World, regions: int) -> Campaign:
    """One byte of each region of each file of the newest checkpoint flipped: named, passed over, the rows the same."""
    campaign = Campaign("a flipped byte")
    output = world.folder / "flipped"
    ended = in_child(lambda: world.train(output, updates=UPDATES - 1))
    assert ended.code == 0, ended.output
    newest = checkpoint.checkpoints_in(run_of(output) / "checkpoints")[-1]
    before = newest.parent / checkpoint.checkpoints_in(newest.parent)[-2].name
    for path in sorted(path for path in newest.rglob("*") if path.is_file()):
        whole = path.read_bytes()
        size = len(whole)
        for place in sorted({(2 * region + 1) * size // (2 * regions) for region in range(regions)} | {0, size - 1}):
            data = bytearray(whole)
            data[place] ^= 0x40
            path.write_bytes(bytes(data))
            campaign.tries += 1
            if checkpoint.newest(newest.parent) != (before, [newest]):
                campaign.found(f"{path.name} byte {place} of {size}: not seen")
            path.write_bytes(whole)
    if not checkpoint.is_whole(newest):
        campaign.found("put together again it is not whole")
    whole_files = {path: path.read_bytes() for path in newest.rglob("*") if path.is_file()}
    victim = newest / "tensors.safetensors"
    victim.write_bytes(whole_files[victim][:-1])
    ended = in_child(lambda: world.train(output))
    if f"damaged checkpoint, passed over: {newest}" not in ended.output:
        campaign.found(f"not named: {ended.output[-600:]}")
    for said in differences(run_of(output), world.reference):
        campaign.found(f"after it was passed over: {said}")
    return campaign
