"""Charges, normalisation, clipping: from raw rewards to those that the update sees, in this order.

    raw, or missing_end_reward in its place [no end token]
        - missing_end_penalty [no end token] - repetition_penalty * share of repeated token pairs
    -> normaliser -> clip to +-clip

With both penalties 0, the normaliser ``none``, ``missing_end_reward`` and ``clip`` null, rewards pass unchanged to the
last bit.
Ref: what stands in place of the score, -1: Huang et al. 2024, arXiv 2403.17031, authors' code
vwxyzjn/summarize_from_feedback_details; what is subtracted: TRL's ``missing_eos_penalty``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from jaxtyping import Float
from pydantic import Field, SerializeAsAny, model_validator
from torch import Tensor

from safelab.contracts import Context, Normaliser, Part, Shaped, Shaping
from safelab.maths.repetition import repeated_bigram_share
from safelab.options import State
from safelab.plugins import build_option
from safelab.types import Rollout


class Stack(Part):
    """Penalties in units of the raw reward; ``clip`` in units of the normalised one; ``normaliser`` a nested option.

    ``missing_end_reward``: what a response without end token gets whatever the reward says of it; null: its own reward.
    """

    missing_end_penalty: Annotated[float, Field(ge=0)]
    missing_end_reward: Annotated[float, Field(allow_inf_nan=False)] | None
    repetition_penalty: Annotated[float, Field(ge=0)]
    clip: Annotated[float, Field(gt=0)] | None
    normaliser: Mapping[str, Any]

    @model_validator(mode="after")
    def _one_answer_to_a_missing_end(self) -> "Stack":
        if self.missing_end_reward is not None and self.missing_end_penalty > 0:
            raise ValueError(
                f"must have missing_end_penalty=0 with a missing_end_reward, got {self.missing_end_penalty:g}: "
                "the reward that it would be taken from is replaced"
            )
        return self

    def build(self, context: Context) -> "ShapingStack":
        """The stack, with its normaliser."""
        return ShapingStack(options=self, normaliser=build_option("shaping/normaliser", self.normaliser, context))


class ShapingState(State):
    """What the normaliser remembers."""

    normaliser: SerializeAsAny[State]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapingStack(Shaping[ShapingState]):
    """See the module's docstring."""

    options: Stack
    # Normaliser[Any] would be a class of its own to pydantic, from which no normaliser derives.
    normaliser: Normaliser  # type: ignore[type-arg]

    def init(self) -> ShapingState:
        """State before any reward was seen."""
        return ShapingState(normaliser=self.normaliser.init())

    def step(
        self, state: ShapingState, rollout: Rollout, reward_seq: Float[Tensor, "b"]
    ) -> tuple[ShapingState, Shaped]:
        """Next state, and the rewards as the update sees them."""
        charge_seq = self._charge(rollout, reward_seq)
        after, scaled_seq = self.normaliser.step(
            state.normaliser, self._with_missing_ends(rollout, reward_seq) - charge_seq
        )
        shaped_seq = self._clipped(scaled_seq)
        metrics = {
            "reward/charge_mean": charge_seq.mean(),
            "reward/shaped_mean": shaped_seq.mean(),
            "reward/clip_fraction": (shaped_seq != scaled_seq).float().mean(),
        }
        return ShapingState(normaliser=after), Shaped(shaped_seq=shaped_seq, metrics=self._present(metrics))

    def _with_missing_ends(self, rollout: Rollout, reward_seq: Tensor) -> Tensor:
        instead = self.options.missing_end_reward
        return reward_seq if instead is None else reward_seq.masked_fill(~rollout.ended_seq, instead)

    def _charge(self, rollout: Rollout, reward_seq: Tensor) -> Tensor:
        unended = (~rollout.ended_seq).to(reward_seq)
        charge = self.options.missing_end_penalty * unended
        if self.options.repetition_penalty == 0:
            return charge
        share = repeated_bigram_share(rollout.ids, rollout.mask).to(reward_seq)
        return charge + self.options.repetition_penalty * share

    def _clipped(self, reward_seq: Tensor) -> Tensor:
        bound = self.options.clip
        return reward_seq if bound is None else torch.clamp(reward_seq, -bound, bound)

    def _present(self, metrics: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Only what this stack does: a metric that a run does not have is absent."""
        charges = self.options.missing_end_penalty > 0 or self.options.repetition_penalty > 0
        clips = self.options.clip is not None
        return {
            name: value
            for name, value in metrics.items()
            if (charges or name != "reward/charge_mean") and (clips or name != "reward/clip_fraction")
        }
