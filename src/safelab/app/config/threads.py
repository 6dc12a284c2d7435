"""``threads=auto``: how many CPU threads a run takes where nobody has said it."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

AUTO = "auto"

ASKED = os.environ.get("OMP_NUM_THREADS", "")
"""As the command found it: a sweep sets it for its jobs later on."""

EMBEDDED = "tiny"
"""The embedded world's policy, which more threads make no faster; its rows are the same on every machine with one."""

TOPOLOGY = Path("/sys/devices/system/cpu")
QUOTA = Path("/sys/fs/cgroup/cpu.max")


def threads_of(config: Mapping[str, Any], directory: Path, at_once: int, cpus: int | None = None) -> int:
    """The number that each process of a run has whose ``threads`` is ``auto``.

    A run that goes on keeps the number that it began with: the sum of many numbers depends on how threads cut it.

    Args:
        config: of the run.
        directory: the run's.
        at_once: jobs that share the machine with it, itself included.
        cpus: that a cluster was told to give it, if any.
    """
    from safelab.runlog.recorded import read_config
    from safelab.runlog.schema import CONFIG_FILE

    if (directory / CONFIG_FILE).is_file() and isinstance(begun := read_config(directory).get("threads"), int):
        return begun
    if config.get("policy", {}).get("name") == EMBEDDED:
        return 1
    ranks = int(config.get("ranks", 1))
    if cpus is not None:
        return max(1, cpus // ranks)
    at_once *= ranks
    return alone() if at_once == 1 else max(1, min(alone(), cores() // at_once))


def alone() -> int:
    """Threads of a run that has the machine to itself: a core each, no more than ``OMP_NUM_THREADS`` allows."""
    return min(cores(), int(ASKED)) if ASKED.isdecimal() and int(ASKED) > 0 else cores()


def cores() -> int:
    """Physical cores that this process may use: of its affinity and of its container's share, at least one."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    siblings = {_siblings(number) for number in os.sched_getaffinity(0)}
    return max(1, min(len(siblings), _share()))


def _siblings(number: int) -> str:
    """The logical processors of one core, as the system lists them; the processor itself where it does not."""
    try:
        return (TOPOLOGY / f"cpu{number}" / "topology" / "thread_siblings_list").read_text().strip()
    except OSError:
        return str(number)


def _share() -> int:
    """Whole cores' worth of time that the container may take; without a limit more than there are."""
    try:
        quota, period = QUOTA.read_text().split()
        return int(quota) // int(period)
    except (OSError, ValueError):  # no such file, or "max"
        return sys.maxsize
