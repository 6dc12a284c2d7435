"""``preference`` of the kind that sorts the pairs before the first update: a norm has changed since they were made."""

from abc import ABC, abstractmethod
from typing import Annotated, ClassVar, Literal

from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from safelab.contracts.losses import Preference
from safelab.options import State


class Triage(State):
    """What was found of each pair of the source, by its number; empty before it was looked for, and in other runs.

    ``bucket``: of ``maths.triage``, by the run's reward. ``oracle``: the evaluator's own. ``weight``: in the loss.
    """

    bucket: tuple[int, ...] = ()
    oracle: tuple[int, ...] = ()
    weight: tuple[float, ...] = ()


class TriagedPreference(Preference, ABC):
    """The reward sorts each pair once, by the policy that the run starts from; its evaluator is the oracle.

    ``kl_coef``: of the KL to the reference on retained pairs. ``triage``: ``by_score``, or ``all_inverted``, where
    nothing is sorted. ``weights``: ``influence`` on a gold set, ``gold_pairs`` that the oracle puts in order, or
    ``uniform``. ``weight_sum``: what all weights add up to: the number of ``pairs``, so that a batch's mean estimates
    the weighted mean over all conflicting ones, or ``one``.
    """

    sorts: ClassVar[bool] = True

    kl_coef: Annotated[float, Field(ge=0)]
    triage: Literal["by_score", "all_inverted"]
    weights: Literal["influence", "uniform"]
    weight_sum: Literal["pairs", "one"]
    gold_pairs: Annotated[int, Field(ge=1)]

    @abstractmethod
    def bucket(self, score: Float[Tensor, "n a"]) -> Int[Tensor, "n"]:
        """Of each pair, by the reward of both answers."""

    @abstractmethod
    def oracle_bucket(self, score: Float[Tensor, "n a"]) -> Int[Tensor, "n"]:
        """The same by the evaluator's score, whose unit may be another."""
