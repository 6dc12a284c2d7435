"""Starts the other processes of a run on this machine, and watches them: each is gone as soon as this one is."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from safelab.app.config.jobs import Job
from safelab.errors import RunFailed, lines_of

READY = "ready"
"""What a helper says once it has everything imported and goes to the meeting."""

PATIENCE_S = 10.0
"""Seconds that helpers have to go by themselves when the run has ended."""

GLOO_INTERFACE = "GLOO_SOCKET_IFNAME"
LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"

Helper = subprocess.Popen[str]


@contextmanager
def helpers(job: Job, size: int) -> Iterator[tuple[str, Callable[[], str | None]]]:
    """Ranks 1 to ``size`` - 1 of ``job``; gives where they meet (torch's ``init_method``), and who is lost.

    Raises:
        RunFailed: one of them ended before it was ready.
    """
    with _by_loopback(), tempfile.TemporaryDirectory(prefix="safelab-ranks-") as scratch:
        folder = Path(scratch)
        meeting = f"file://{folder / 'meeting'}"
        started: list[Helper] = []
        try:
            for rank in range(1, size):
                started.append(_start(job, rank, size, meeting, folder / f"{rank}.txt"))
            for rank, helper in enumerate(started, start=1):
                assert helper.stdout is not None
                if helper.stdout.readline().strip() != READY:
                    raise RunFailed(f"rank {rank} of {size} could not start: {_last(folder / f'{rank}.txt')}")
            yield meeting, lambda: _lost(started, folder)
        finally:
            _end(started)


@contextmanager
def _by_loopback() -> Iterator[None]:
    """Processes of one machine must not look for each other by its name, which may lead nowhere; others' may, after."""
    if GLOO_INTERFACE in os.environ:
        yield
        return
    os.environ[GLOO_INTERFACE] = LOOPBACK
    try:
        yield
    finally:
        os.environ.pop(GLOO_INTERFACE, None)


def _start(job: Job, rank: int, size: int, meeting: str, log: Path) -> Helper:
    """One helper. It reads what it is to do, and then waits for the end of that pipe, which comes with ours."""
    with log.open("w") as said:
        helper = subprocess.Popen(
            [sys.executable, "-m", "safelab.app.ranks.helper"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            start_new_session=True,  # Ctrl-C reaches the first rank alone, which tells the others
        )
    task = {
        "config": job.config, "overrides": job.overrides, "rank": rank, "size": size, "meeting": meeting,
        "path": sys.path,
    }  # fmt: skip
    assert helper.stdin is not None
    with suppress(BrokenPipeError):  # it is gone, and has said why
        _tell(helper.stdin, task)
    return helper


def _tell(pipe: IO[str], task: object) -> None:
    pipe.write(json.dumps(task) + "\n")
    pipe.flush()


def _lost(started: list[Helper], folder: Path) -> str | None:
    """Which helper is gone, how, and the last that it said; one that goes has a moment to be seen going."""
    for rank, helper in enumerate(started, start=1):
        with suppress(subprocess.TimeoutExpired):
            code = helper.wait(1.0)
            how = f"ended by signal {-code}" if code < 0 else f"ended with code {code}"
            return f"rank {rank} {how}: {_last(folder / f'{rank}.txt')}"
    return None


def _last(log: Path) -> str:
    lines = [line for line in lines_of(log.read_text(encoding="utf-8", errors="replace")) if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"


def _end(started: list[Helper]) -> None:
    """Close their pipes, which tells them that we are done; whoever is still there after a while is killed."""
    for helper in started:
        for pipe in (helper.stdin, helper.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()
    for helper in started:
        try:
            helper.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            helper.kill()
            helper.wait()
