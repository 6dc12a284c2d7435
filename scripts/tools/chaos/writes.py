"""Writes of a run that fail: once, or all from one on."""

import errno
import io
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safelab.runlog import durable, writer
from scripts.tools.chaos.world import Campaign, World, differences, finish, in_child, refused_well, run_of


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
