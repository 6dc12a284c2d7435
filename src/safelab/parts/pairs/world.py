"""Pairs of the embedded world: those that the run's own reward model was trained on, noise in the labels and all.

An arm that learns from the pairs and one that learns from the reward model have then seen the same preferences.
"""

from typing import TYPE_CHECKING

from safelab.contracts import Context
from safelab.parts.pairs._drawn import DrawnPairs, PairOptions
from safelab.types import Pair
from safelab.world.artifacts import ensure_preferences
from safelab.world.options import WorldOptions

if TYPE_CHECKING:
    from safelab.world.preferences import LabelledPair


class Options(PairOptions):
    """``world``: how it is made, ``${world}``; ``world.reward_model.pairs`` are drawn by ``seed``."""

    world: WorldOptions


def build(options: Options, context: Context) -> DrawnPairs:
    """The world's pairs, made on first use and cached."""
    from safelab.world.preferences import load_preferences

    directory = ensure_preferences(options.world, options.seed, context.cache, context.progress)
    return DrawnPairs([as_pair(pair) for pair in load_preferences(directory)], options)


def as_pair(pair: "LabelledPair") -> Pair:
    """The same as the offline loop reads it."""
    chosen, rejected = pair.chosen, pair.rejected
    return Pair(
        prompt=chosen.prompt,
        chosen=chosen.response,
        rejected=rejected.response,
        chosen_ended=chosen.ended,
        rejected_ended=rejected.ended,
    )
