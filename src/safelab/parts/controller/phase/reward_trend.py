"""Phases of training read off the reward history.

    fewer than window rewards                                -> warmup
    mean(recent) > mean(old) + climb_margin                  -> climbing
    std(recent) < converged_std and mean(recent) > converged_reward -> converged
    otherwise                                                -> plateau

recent: the last ``window`` rewards; old: the ``window`` before, or recent itself until there are two windows.
Ref: SAFE, arXiv 2602.04651; its released phase detector.
"""

from statistics import fmean, pstdev
from typing import Annotated, cast

from pydantic import Field

from safelab.contracts import Context
from safelab.options import Options as BaseOptions
from safelab.options import State
from safelab.types import Signals

Positive = Annotated[float, Field(gt=0)]


class Multipliers(BaseOptions):
    """What each phase multiplies the threshold by."""

    warmup: Positive
    climbing: Positive
    plateau: Positive
    converged: Positive


class Options(BaseOptions):
    """``window`` in controller steps; margins in units of the reward."""

    name: str
    window: Annotated[int, Field(ge=2)]
    climb_margin: float
    converged_std: Positive
    converged_reward: float
    multipliers: Multipliers


class Rewards(State):
    """The last two windows of rewards, oldest first."""

    rewards: tuple[float, ...]


def build(options: Options, context: Context) -> "RewardTrend":
    """The detector."""
    return RewardTrend(options)


class RewardTrend:
    """Remembers two windows of rewards."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def init(self) -> Rewards:
        """None seen."""
        return Rewards(rewards=())

    def step(self, state: State, signals: Signals, kl: float) -> Rewards:
        """One more reward, the oldest dropped."""
        return Rewards(rewards=(*cast(Rewards, state).rewards, signals.reward_mean)[-2 * self._options.window :])

    def phase(self, state: State) -> tuple[str, float]:
        """The phase's name and multiplier."""
        name = self._name(cast(Rewards, state).rewards)
        return name, getattr(self._options.multipliers, name)

    def _name(self, rewards: tuple[float, ...]) -> str:
        options = self._options
        if len(rewards) < options.window:
            return "warmup"
        recent = rewards[-options.window :]
        old = rewards[: options.window] if len(rewards) >= 2 * options.window else recent
        if fmean(recent) > fmean(old) + options.climb_margin:
            return "climbing"
        if pstdev(recent) < options.converged_std and fmean(recent) > options.converged_reward:
            return "converged"
        return "plateau"
