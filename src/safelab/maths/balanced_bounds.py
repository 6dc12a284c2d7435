"""BAPO's search for ratio bounds: widened step by step until gains make up enough of the surrogate.

As published, one loop raises the upper bound, and the lower one once that is at its limit, until

    share = sum_{A>0} mu |min(r A, clip(r, 0, high) A)| / sum_all mu |min(r A, clip(r, low, high) A)| >= target

As in the authors' code, the lower bound goes to its limit first, then the upper one, until

    gains / losses = sum_{A>=0} min(r, high) A / sum_{A<0} max(r, low) |A| >= target

For A < 0 the bounded surrogate max(r, low) |A| grows with ``low``, so raising the lower bound never raises either
measure, although it takes gradient away from losses. ``active`` counts only tokens that keep their gradient.
Ref: BAPO, arXiv 2510.18927 (from public notes); authors' code WooooDyy/BAPO, recipe/bapo.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Form = Literal["paper", "authors_code"]
Contribution = Literal["surrogate", "active"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Bounds of the ratio itself, not distances from 1: where they start, how far they may go, by which steps."""

    form: Form
    contribution: Contribution
    target: float
    low_start: float
    low_limit: float
    low_step: float
    high_start: float
    high_limit: float
    high_step: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Where the search ended, and the measure there."""

    low: float
    high: float
    balance: float


def balanced_bounds(
    search: Search, ratio: Float[Tensor, "n"], advantage: Float[Tensor, "n"], prob: Float[Tensor, "n"]
) -> Bounds:
    """The bounds for the response tokens of a minibatch, flat. ``prob``: mu, the anchor's probability of each."""
    steps = _paper_steps(search) if search.form == "paper" else _code_steps(search)
    for low, high in steps:
        found = balance(search, ratio, advantage, prob, low, high)
        if found >= search.target:
            break
    return Bounds(low=low, high=high, balance=found)


def balance(
    search: Search,
    ratio: Float[Tensor, "n"],
    advantage: Float[Tensor, "n"],
    prob: Float[Tensor, "n"],
    low: float,
    high: float,
) -> float:
    """The measure that the search raises, at given bounds; 1 (or infinity) where nothing stands against the gains."""
    bounded = torch.minimum(ratio * advantage, ratio.clamp(low, high) * advantage).abs()
    if search.contribution == "active":
        stopped = ((advantage > 0) & (ratio > high)) | ((advantage < 0) & (ratio < low))
        bounded = torch.where(stopped, torch.zeros_like(bounded), bounded)
    if search.form == "paper":
        bounded = bounded * prob
    gains, losses = float(bounded[advantage > 0].sum()), float(bounded[advantage < 0].sum())
    if search.form == "paper":
        return gains / (gains + losses) if gains + losses > 0 else 1.0
    return gains / losses if losses > 0 else float("inf")


def _paper_steps(search: Search) -> list[tuple[float, float]]:
    lows, highs = _ladder(search.low_start, search.low_limit, search.low_step), _highs(search)
    return [(lows[0], high) for high in highs] + [(low, highs[-1]) for low in lows[1:]]


def _code_steps(search: Search) -> list[tuple[float, float]]:
    lows, highs = _ladder(search.low_start, search.low_limit, search.low_step), _highs(search)
    return [(low, highs[0]) for low in lows] + [(lows[-1], high) for high in highs[1:]]


def _highs(search: Search) -> list[float]:
    return _ladder(search.high_start, search.high_limit, search.high_step)


def _ladder(start: float, limit: float, step: float) -> list[float]:
    """``start``, ``start + step``, ... up to ``limit``; rounding does not lose the last one."""
    return [start + index * step for index in range(int((limit - start) / step + 1e-9) + 1)]
