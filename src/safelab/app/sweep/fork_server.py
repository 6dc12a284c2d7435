"""The server from which the jobs of a sweep are forked, with everything that they import in place."""

import multiprocessing
import os
from multiprocessing import forkserver

from safelab.app.sweep.surroundings import LIBRARIES

CONTEXT = multiprocessing.get_context("forkserver")
PRELOADED = "safelab.app.sweep.preload"


def warm() -> None:
    """Start the server, unless it runs; it imports in the background."""
    for name, value in LIBRARIES.items():
        os.environ.setdefault(name, value)
    CONTEXT.set_forkserver_preload([PRELOADED])
    forkserver.ensure_running()
