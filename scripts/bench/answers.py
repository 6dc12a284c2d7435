"""Responses that end where they should: by the sampling that runs use, with seeds that are known to end there.

The model gives its end token the same probability at every place, about ``SHARE`` (``update.make_model``). A row's
seed makes its uniform numbers, and the end token is drawn where such a number is small; so a seed is sought whose
first small number stands in the right place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Any

SHARE = 1 / 64


@dataclass(frozen=True)
class Answers:
    """``contracts.Sampler``: another sampler, whose responses get these lengths; row ``i`` gets length ``i``."""

    sampler: Any
    lengths: tuple[int, ...]

    def __getattr__(self, name: str) -> Any:
        """What the other sampler has."""
        return getattr(self.sampler, name)

    def sample(self, policy: Any, prompts: Any, seeds: Sequence[int]) -> Any:
        """One response for each row, of its length.

        Raises:
            SystemExit: one has another length.
        """
        most = self.sampler.max_new_tokens
        rollout = self.sampler.sample(policy, prompts, [seed_of(length, most) for length in self.lengths])
        found = rollout.mask.sum(dim=1).tolist()
        if found != list(self.lengths):
            raise SystemExit(
                f"responses should have {list(self.lengths)} tokens and have {found}: has sampling changed?"
            )
        return rollout


@cache
def seed_of(length: int, most: int) -> int:
    """A seed with which a response ends after ``length`` tokens; after ``most`` it need not end.

    The numbers keep away from ``SHARE``, since the model's probability is near it and not equal to it.
    """
    import torch

    for seed in count(1000 * length):
        numbers = torch.rand(most, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        goes_on = bool((numbers[: length - 1] > 2 * SHARE).all())
        last = float(numbers[length - 1])
        if goes_on and (last < SHARE / 2 if length < most else last > 2 * SHARE):
            return seed
    raise AssertionError("unreachable: seeds do not end")
