"""Disks that become full or read-only, and folders that are removed. Only root may mount what the disks need."""

import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from safelab.runlog import durable
from scripts.tools.chaos.world import Campaign, World, finish, in_child, refused_well, run_of, start, wait_for


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
