"""Randomness without state: each use has a stream of its own, derived from the run's seed, its name and the update.

So a resumed run needs no saved generator, two arms with one seed meet the same prompts and the same sampling noise,
and a component that draws more or fewer numbers moves no other.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from safelab.maths.seeds import derive_seed


@contextmanager
def stream(seed: int, *names: str | int) -> Iterator[None]:
    """Within the block torch's generators run on ``derive_seed(seed, *names)``; afterwards they are as before."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(derive_seed(seed, *names))
        yield
