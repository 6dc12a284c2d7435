"""Wall time of the spans of one update, with the device's queue emptied at each border."""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

WAIT, BESIDE = "rollout_wait", "rollout_beside"
"""Spans of a rollout that is written beside training: how long it was waited for, and how long it took in all."""


class Clock:
    """Starts when it is made."""

    def __init__(self, module: Any) -> None:
        self._device = next(module.parameters()).device
        self._start = time.perf_counter()
        self.spans: dict[str, float] = {}

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Time the block as ``name``, in seconds."""
        start = time.perf_counter()
        yield
        if self._device.type != "cpu":
            torch.accelerator.synchronize(self._device)
        self.spans[name] = time.perf_counter() - start

    def total(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._start

    def hidden_share(self) -> float | None:
        """The share of the writing beside training for which nobody waited; None where there was none."""
        if BESIDE not in self.spans:
            return None
        return max(0.0, 1 - self.spans[WAIT] / max(self.spans[BESIDE], self.spans[WAIT]))

    def peak_gib(self) -> float:
        """Greatest memory so far: the GPU's allocations, or the process's resident set (which holds an Apple GPU's)."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / 2**30
        return peak_resident_bytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, sys.platform) / 2**30


def peak_resident_bytes(ru_maxrss: int, platform: str) -> int:
    """``getrusage``'s greatest resident set in bytes: macOS gives bytes, Linux KiB.

    Ref: getrusage(2) of either.
    """
    return ru_maxrss if platform == "darwin" else ru_maxrss * 2**10
