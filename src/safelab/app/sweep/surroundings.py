"""What the processes of a sweep's jobs are given to go by, wherever they run."""

import os

from safelab.app.config.places import cache_directory

LIBRARIES = {
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Variables that libraries read when they are imported: a thread started then would be missing in a process that is
forked, and a job's own number of threads is set later, by ``threads``."""


def on_a_cluster() -> dict[str, str]:
    """The variables of a job on another machine: ``LIBRARIES``', our cache, and where we find modules."""
    found = {name: os.environ.get(name, value) for name, value in LIBRARIES.items()}
    paths = os.environ.get("PYTHONPATH")
    return {**found, "SAFELAB_CACHE": str(cache_directory().absolute()), **({"PYTHONPATH": paths} if paths else {})}
