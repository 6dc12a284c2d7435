"""Beside and behind the reward: ``evaluator``, and ``shaping`` with its normaliser."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

from jaxtyping import Float
from torch import Tensor

from safelab.contracts.part import Part
from safelab.options import S
from safelab.types import Rollout


class Evaluator(Part, ABC):
    """``evaluator``: a score that is measured beside the reward and never optimised."""

    @abstractmethod
    def score(self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool]) -> list[float] | None:
        """One number per response, or None where there is no such score."""


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
    """Rewards as the update sees them, with what was clipped or charged, for the log."""

    shaped_seq: Float[Tensor, "b"]
    metrics: Mapping[str, float]


class Shaping(ABC, Generic[S]):
    """``shaping``: charges (missing end, repetition), normalisation, clipping between reward and advantage."""

    @abstractmethod
    def init(self) -> S:
        """State before any reward was seen."""

    @abstractmethod
    def step(self, state: S, rollout: Rollout, reward_seq: Float[Tensor, "b"]) -> tuple[S, Shaped]:
        """Next state, and the rewards as the update sees them."""
