"""Beside and behind the reward: ``evaluator``, and ``shaping`` with its normaliser."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence, Sized
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import islice
from numbers import Real
from typing import Any, Generic

import torch
from jaxtyping import Float
from torch import Tensor

from safelab.contracts.part import Part
from safelab.errors import RunFailed
from safelab.foreign import shown
from safelab.options import S
from safelab.types import Rollout


class Evaluator(Part, ABC):
    """``evaluator``: a score that is measured beside the reward and never optimised."""

    @abstractmethod
    def score(
        self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool], *args: Any, **columns: Any
    ) -> list[float] | None:
        """One number per response, or None where there is no such score. Columns of the data as for a reward."""


class Normaliser(Part, ABC, Generic[S]):
    """``shaping.normaliser``: brings raw rewards to the scale that the critic learns."""

    @abstractmethod
    def init(self) -> S:
        """State before any reward was seen."""

    @abstractmethod
    def step(self, state: S, reward_seq: Float[Tensor, "b"]) -> tuple[S, Float[Tensor, "b"]]:
        """Next state and the rewards as the update sees them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaped:
    """Rewards as the update sees them, with what was clipped or charged, for the log.

    ``metrics``: numbers, or tensors of one, which a GPU hands over with all others of the row.
    """

    shaped_seq: Float[Tensor, "b"]
    metrics: Mapping[str, float | Tensor]


class Shaping(ABC, Generic[S]):
    """``shaping``: charges (missing end, repetition), normalisation, clipping between reward and advantage."""

    @abstractmethod
    def init(self) -> S:
        """State before any reward was seen."""

    @abstractmethod
    def step(self, state: S, rollout: Rollout, reward_seq: Float[Tensor, "b"]) -> tuple[S, Shaped]:
        """Next state, and the rewards as the update sees them."""


LARGEST = torch.finfo(torch.float32).max
"""Above it a score would be infinite where it is learnt from."""


def checked_scores(who: str, values: Any, prompts: Sequence[str], failure: type[RunFailed] = RunFailed) -> list[float]:
    """What a reward or evaluator returned, as one finite number per prompt.

    Args:
        who: the part, as a message names it.
        values: anything; numbers of NumPy, torch and the like are numbers, and so is an array of one element.
        prompts: that were scored, for the message.
        failure: the exception that carries the message.

    Raises:
        failure: it is something else, too few or too many, or above float32's range.
    """
    unordered = isinstance(values, str | bytes | Mapping | AbstractSet) or hasattr(values, "columns")
    if unordered or not isinstance(values, Iterable) or getattr(values, "ndim", 1) == 0:
        forgotten = ", as a function without return does" if values is None else ""
        raise failure(f"{who} must return a list of one number per response, got {shown(values)}{forgotten}")
    found = list(islice(iter(values), len(prompts) + 1))  # no more than tells, for a generator may never end
    if len(found) < len(prompts):
        raise failure(f"{who} must return one number per response, got {len(found)} for {len(prompts)}")
    if len(found) > len(prompts):
        count = len(values) if isinstance(values, Sized) else f"{len(found)} or more"
        raise failure(f"{who} must return one number per response, got {count} for {len(prompts)}")
    return [_number(who, value, prompt, failure) for value, prompt in zip(found, prompts, strict=True)]


def _number(who: str, value: Any, prompt: str, failure: type[RunFailed]) -> float:
    single = value
    if hasattr(value, "item") and getattr(value, "shape", ()) in ((), (1,)):
        single = value.item()
    size: Any = abs(single) if isinstance(single, Real) else math.nan
    if size <= LARGEST:
        return float(single)
    rule = "finite numbers"
    if LARGEST < size < math.inf:
        rule = f"numbers of at most {LARGEST:.3g} (float32)"
    elif isinstance(value, Sized) and not isinstance(value, str | bytes):
        rule = "one number per response"
    skipped = ": no reward is left out here, so give a number where it does not apply" if value is None else ""
    raise failure(f"{who} must return {rule}, got {shown(value)} for {prompt[:80]!r}{skipped}")
