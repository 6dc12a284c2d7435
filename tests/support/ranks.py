"""The processes of a run without the seconds that starting them takes: forks of this one, which meet by a file."""

import multiprocessing
import os
import pickle
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch.distributed as dist

from safelab.ranks import Ranks

CONTEXT = multiprocessing.get_context("fork")


def on_ranks(size: int, work: Callable[[Ranks], Any]) -> list[Any]:
    """What ``work`` gives on each rank, or the exception that it raised there; None where the process has ended."""
    with TemporaryDirectory() as folder:
        meeting = f"file://{Path(folder, 'meeting')}"
        pipes = [CONTEXT.Pipe(duplex=False) for _ in range(size)]
        children = [
            CONTEXT.Process(target=_be, args=(work, rank, size, meeting, pipe[1])) for rank, pipe in enumerate(pipes)
        ]
        for child in children:
            child.start()
        for _, send in pipes:
            send.close()
        answers = [_answer(receive) for receive, _ in pipes]
        for child in children:
            child.join()
        return answers


def _answer(pipe: Any) -> Any:
    try:
        return pickle.loads(pipe.recv_bytes())
    except EOFError:
        return None


def _be(work: Callable[[Ranks], Any], rank: int, size: int, meeting: str, answer: Any) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=size, timeout=timedelta(seconds=60))
    try:
        given = work(Ranks(rank, size, rank))
    except Exception as error:  # noqa: BLE001 (whatever a test provokes is handed to it)
        traceback.print_exc()
        given = error
    answer.send_bytes(pickle.dumps(given))  # not by shared memory, which would go with us
    answer.close()
    os._exit(0)  # no cleaning up: what the parent has open is the parent's
