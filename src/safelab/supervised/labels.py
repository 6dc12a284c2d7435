"""Pairs whose better answer is named by a reward model: proxies learn what a gold model prefers, not what people did.

    chosen, rejected = (a, b) where z_gold(a) > z_gold(b), else (b, a);   then changed over with probability ``noise``

Pairs that it scores alike have no better answer, and are left out.

Ref: Gao et al. 2022, arXiv 2210.10760, section 2 (a gold model labels the data of its proxies); Coste et al. 2023,
arXiv 2310.02743, section 4 (a quarter of the labels changed over).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from safelab.errors import DataError
from safelab.maths.seeds import numpy_generator
from safelab.supervised.bradley_terry import BradleyTerry
from safelab.supervised.loading import load_judge
from safelab.supervised.options import RewardModelOptions
from safelab.supervised.pairs import pieces_of
from safelab.types import Pair


@dataclass(frozen=True, slots=True)
class Labels:
    """Who says which answer is the better one: ``judge``, or people where it is None; and how much noise there is."""

    options: RewardModelOptions
    judge: BradleyTerry | None

    def named(self, sides: list[list[Pair]], say: Callable[[str], None]) -> list[list[Pair]]:
        """Pairs to learn from and pairs kept back as ``labels`` says; noise is of those to learn from alone.

        Raises:
            DataError: the judge prefers no answer on one side.
        """
        learnt, held_out = sides if self.judge is None else self._judged(self.judge, sides, say)
        return [noisy(learnt, self.options.labels.noise, self.options.seed), held_out]

    def _judged(self, judge: BradleyTerry, sides: list[list[Pair]], say: Callable[[str], None]) -> list[list[Pair]]:
        margins = [self._margins(judge, side) for side in sides]
        count = sum(map(len, sides))
        every = [margin for side in margins for margin in side]
        turned, tied = sum(margin < 0 for margin in every), sum(margin == 0 for margin in every)
        say(f"labels.path: the model prefers the other answer in {turned} of {count} pairs")
        if tied:
            say(f"labels.path: it scores both answers alike in {tied} of {count} pairs, which are left out")
        named = [preferred(side, scores) for side, scores in zip(sides, margins, strict=True)]
        if not all(named):
            raise DataError(f"labels.path must prefer one of two answers, got equal scores in {tied} of {count} pairs")
        return named

    @torch.no_grad()
    def _margins(self, judge: BradleyTerry, pairs: Sequence[Pair]) -> list[float]:
        return [float(z) for piece in pieces_of(judge, pairs, self.options) for z in judge.margins(piece)]


def labels_of(options: RewardModelOptions, device: torch.device) -> Labels:
    """The judge, loaded; it reads as the model that learns: the same template, precision and longest text.

    Raises:
        ConfigError: ``labels.path`` is no reward model.
    """
    return Labels(options, None if options.labels.path is None else load_judge(options, device))


def preferred(pairs: Sequence[Pair], margins: Sequence[float]) -> list[Pair]:
    """Pairs with the answer first that has the higher score; margins are those of chosen over rejected."""
    rows = zip(pairs, margins, strict=True)
    return [swapped(pair) if margin < 0 else pair for pair, margin in rows if margin != 0]


def noisy(pairs: Sequence[Pair], noise: float, seed: int) -> list[Pair]:
    """Each pair changed over with probability ``noise``, by numbers of its own of ``seed``."""
    drawn = numpy_generator(seed, "labels").random(len(pairs))
    return [swapped(pair) if number < noise else pair for pair, number in zip(pairs, drawn, strict=True)]


def swapped(pair: Pair) -> Pair:
    """The answers the other way round."""
    return replace(
        pair,
        chosen=pair.rejected,
        rejected=pair.chosen,
        chosen_ended=pair.rejected_ended,
        rejected_ended=pair.chosen_ended,
    )
