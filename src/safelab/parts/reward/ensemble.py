"""Several rewards as one: their weighted mean, their least, or their mean less their disagreement.

    mean: sum_i w_i r_i / sum_i w_i        min: min_i r_i
    mean_minus_std: mean - std_coef * std_i r        uwo: mean - variance_coef * var_i r        (both of n - 1)

Weights are of the mean alone: the least has none, and how far members disagree counts each of them once.
The least, and the penalised means, are what over-optimisation of one model finds hardest to fool.
``uwo`` is uncertainty-weighted optimisation, its variance over n - 1 as the authors' PPO code takes it. Their
best-of-n code takes it over n: there ``variance_coef`` is theirs times (n - 1) / n.
Ref: Coste et al. 2023, arXiv 2310.02743, section 3 (mean, worst case, uncertainty-weighted); authors' code
tlc4418/llm_optimization.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from safelab.contracts import Context, Part, Reading, Reward, checked_scores, given, reading_of
from safelab.errors import ConfigError
from safelab.plugins import build_option


class Ensemble(Part):
    """``members``: each a reward's configuration (``name`` and its keys).

    ``weights``: for ``combine=mean`` alone; null for equal ones. ``std_coef``: how much of the deviation over members
    ``mean_minus_std`` takes off. ``variance_coef``: how much of the variance ``uwo`` takes off, per unit of the reward.
    """

    members: Annotated[list[Mapping[str, Any]], Field(min_length=2)]
    combine: Literal["mean", "min", "mean_minus_std", "uwo"]
    weights: list[Annotated[float, Field(gt=0)]] | None
    std_coef: Annotated[float, Field(ge=0)]
    variance_coef: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _one_weight_each(self) -> Self:
        if self.weights is not None and len(self.weights) != len(self.members):
            raise ValueError(f"must have one weight for each of {len(self.members)} members, got {len(self.weights)}")
        return self

    @model_validator(mode="after")
    def _weights_of_a_mean(self) -> Self:
        if self.weights is not None and self.combine != "mean":
            given = ", ".join(f"{weight:g}" for weight in self.weights)
            raise ValueError(
                f"must have weights=null with combine={self.combine}, got [{given}]: it counts every member alike; "
                "leave weights out or choose combine=mean"
            )
        return self

    def build(self, context: Context) -> Reward:
        """Every member, each by its own option.

        Raises:
            ConfigError: a member is wrong, with its number.
        """
        members: list[Reward] = []
        for number, member in enumerate(self.members):
            try:
                members.append(build_option("reward", member, context))
            except ConfigError as error:
                raise ConfigError(f"reward.members[{number}]: {error}") from error
        return Combined(self, tuple(members))


@dataclass(frozen=True, slots=True)
class Combined(Reward):
    """The members, combined as ``options`` say."""

    options: Ensemble
    members: tuple[Reward, ...]

    def check_prompt(self, prompt: str) -> None:
        """Refuse a prompt that a member cannot read."""
        for member in self.members:
            member.check_prompt(prompt)

    def reading(self) -> Reading:
        """All that a member reads."""
        return reduce(or_, map(reading_of, self.members))

    def score(
        self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool], **columns: Sequence[Any]
    ) -> list[float]:
        """The members' rewards combined, response by response."""
        rows = []
        for number, member in enumerate(self.members):
            scores = member.score(list(prompts), list(responses), list(ended), **given(member, columns))
            rows.append(checked_scores(f"reward.members[{number}]", scores, prompts))
        rewards: list[float] = self._combined(np.array(rows)).tolist()
        return rewards

    def _combined(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """One number per column of ``table``, which has a row per member."""
        options = self.options
        if options.combine == "min":
            least: NDArray[np.float64] = table.min(axis=0)
            return least
        mean: NDArray[np.float64] = np.average(table, axis=0, weights=options.weights)
        if options.combine == "mean_minus_std":
            mean -= options.std_coef * table.std(axis=0, ddof=1)
        if options.combine == "uwo":
            mean -= options.variance_coef * table.var(axis=0, ddof=1)
        return mean
