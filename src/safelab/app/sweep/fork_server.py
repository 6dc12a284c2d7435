"""The server from which the jobs of a sweep are forked, with everything that they import in place."""

import multiprocessing
import os
from multiprocessing import forkserver

CONTEXT = multiprocessing.get_context("forkserver")
PRELOADED = "safelab.app.sweep.preload"


def warm() -> None:
    """Start the server, unless it runs; it imports in the background."""
    # Read by libraries when they are imported: a thread started in the server would be missing in its forks.
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    CONTEXT.set_forkserver_preload([PRELOADED])
    forkserver.ensure_running()
