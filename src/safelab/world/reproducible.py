"""Work that gives the same bits whatever the caller did before, and leaves the caller's randomness alone."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """One thread on the CPU, torch's global generator freshly seeded; the caller's settings return at the end.

    The sum of many numbers depends on how threads cut it, so the thread count is part of a result's identity.
    Two kinds of processor may still differ in the last bit.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            # Not torch.manual_seed: that would seed the GPUs' generators as well.
            torch.default_generator.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)
