"""Pairs of the embedded world: those that the run's own reward model was trained on, noise in the labels and all.

An arm that learns from the pairs and one that learns from the reward model have then seen the same preferences.
"""

from typing import TYPE_CHECKING

from safelab.contracts import Context, PairSource
from safelab.parts.pairs._drawn import Drawn
from safelab.types import Pair
from safelab.world.artifacts import ensure_preferences
from safelab.world.options import WorldOptions

if TYPE_CHECKING:
    from safelab.world.preferences import LabelledPair


class World(Drawn):
    """``world``: how it is made, ``${world}``; ``world.reward_model.pairs`` are drawn by ``seed``."""

    world: WorldOptions

    def build(self, context: Context) -> PairSource:
        """The world's pairs, made on first use and cached."""
        from safelab.world.preferences import load_preferences

        directory = ensure_preferences(self.world, self.seed, context.cache, context.progress)
        return self.drawn(as_pair(preference) for preference in load_preferences(directory))


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
