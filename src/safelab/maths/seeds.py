"""One seed for the run, and from it an independent one for every use that is named."""

import json
from hashlib import blake2b

import numpy
import torch


def derive_seed(seed: int, *names: str | int) -> int:
    """A seed of 63 bits for the use that ``names`` describe: BLAKE2b of seed and names.

    Other names give an unrelated seed, so adding a use of randomness moves no other.
    ``1`` and ``"1"`` are different names.
    """
    # JSON keeps ("ab",) apart from ("a", "b"), and text from numbers.
    parts = json.dumps([seed, *names]).encode()
    return int.from_bytes(blake2b(parts, digest_size=8).digest(), "big") >> 1


def row_seeds(seed: int, *names: str | int, rows: int) -> list[int]:
    """A seed for each of ``rows`` rows: the first of few rows are the first of many."""
    return [derive_seed(seed, *names, row) for row in range(rows)]


def generator(seed: int, *names: str | int) -> torch.Generator:
    """A torch generator on the CPU, seeded for the named use."""
    return torch.Generator().manual_seed(derive_seed(seed, *names))


def numpy_generator(seed: int, *names: str | int) -> numpy.random.Generator:
    """A NumPy generator, seeded for the named use."""
    return numpy.random.default_rng(derive_seed(seed, *names))
