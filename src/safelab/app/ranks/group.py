"""The group of a run's processes: made before any part is built, left when the run ends."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread

from safelab.app.config.jobs import Job
from safelab.app.ranks.spawn import helpers
from safelab.errors import ConfigError, RunFailed
from safelab.ranks import Ranks, alone

LONGEST_WAIT = timedelta(hours=2)
"""For another process: a slow reward may take long, and one that is gone is noticed before."""

APART_S = 60.0
"""How far apart ranks may be that fail by the same number: the time of a step, at most."""

PATIENCE_S = 30.0
"""How long we stay in an exchange with a process that is known to be gone: the connection should have told."""


@contextmanager
def of_job(job: Job) -> Iterator[Ranks]:
    """The processes that train ``job`` together, this one among them; the others are started where nobody else has.

    Raises:
        ConfigError: ``torchrun`` has started another number of them.
        RunFailed: one of them could not be started.
    """
    count = job.config["ranks"]
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 and started == 1:
        yield Ranks()
    elif "TORCHELASTIC_RUN_ID" in os.environ:
        if count != started:
            raise ConfigError(f"ranks must be the number of processes that torchrun starts, {started}, got {count}")
        with group(job, "env://", int(os.environ["RANK"]), count, int(os.environ["LOCAL_RANK"])) as ranks:
            yield ranks
    else:
        with helpers(job, count) as (meeting, lost), group(job, meeting, 0, count, 0, lost) as ranks:
            yield ranks


@contextmanager
def group(
    job: Job, meeting: str, rank: int, size: int, local: int, lost: Callable[[], str | None] = alone
) -> Iterator[Ranks]:
    """Join the others.

    Args:
        job: its device says by which way tensors are sent.
        meeting: torch's ``init_method``: where the processes find each other.
        rank: ours, of ``size``.
        size: processes in all.
        local: our number on this machine.
        lost: says which process is gone, where that is known.
    """
    import torch
    import torch.distributed as dist

    from safelab.app.config.build import context_for

    device = context_for(job.config, lambda text: None, Ranks(rank, size, local)).device
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # Plain values go by gloo, whatever carries the tensors.
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    ranks = Ranks(rank, size, local, lost, waits_since=time.perf_counter())
    with _leaving_the_lost(ranks):
        dist.init_process_group(backend, init_method=meeting, rank=rank, world_size=size, timeout=LONGEST_WAIT)
        try:
            ranks.failures = dist.new_group(backend="gloo", timeout=timedelta(seconds=APART_S))
            ranks.waits_since = None
            yield ranks
        finally:
            dist.destroy_process_group()


@contextmanager
def _leaving_the_lost(ranks: Ranks) -> Iterator[None]:
    """End this process where it waits for one that is gone and is not told so, as at the meeting or inside NCCL.

    Such a wait cannot be interrupted, so nothing but the process can be ended; the run's last checkpoint stands.
    """
    over = Event()

    def watch() -> None:
        while not over.wait(1.0):
            since = ranks.waits_since
            if since is not None and time.perf_counter() - since > PATIENCE_S and ranks.lost() is not None:
                print(f"error: {ranks.loss()}", file=sys.stderr, flush=True)
                os._exit(RunFailed.exit_code)

    Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()
