"""Phases of training read off the reward history.

    fewer than window rewards                                -> warmup
    mean(recent) > mean(old) + climb_margin                  -> climbing
    std(recent) < converged_std and mean(recent) > converged_reward -> converged
    otherwise                                                -> plateau

recent: the last ``window`` rewards; old: the ``window`` before, or recent itself until there are two windows.
Ref: SAFE, arXiv 2602.04651; its released phase detector.
"""

from statistics import fmean, pstdev
from typing import Annotated

from pydantic import Field

from safelab.contracts import Phase
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


class Rewards(State):
    """The last two windows of rewards, oldest first."""

    rewards: tuple[float, ...]


class RewardTrend(Phase[Rewards]):
    """``window`` in controller steps; margins in units of the reward."""

    window: Annotated[int, Field(ge=2)]
    climb_margin: float
    converged_std: Positive
    converged_reward: float
    multipliers: Multipliers

    def init(self) -> Rewards:
        """None seen."""
        return Rewards(rewards=())

    def step(self, state: Rewards, signals: Signals, kl: float) -> Rewards:
        """One more reward, the oldest dropped."""
        return Rewards(rewards=(*state.rewards, signals.reward_mean)[-2 * self.window :])

    def phase(self, state: Rewards) -> tuple[str, float]:
        """The phase's name and multiplier."""
        name = self._name(state.rewards)
        return name, getattr(self.multipliers, name)

    def _name(self, rewards: tuple[float, ...]) -> str:
        if len(rewards) < self.window:
            return "warmup"
        recent = rewards[-self.window :]
        old = rewards[: self.window] if len(rewards) >= 2 * self.window else recent
        if fmean(recent) > fmean(old) + self.climb_margin:
            return "climbing"
        if pstdev(recent) < self.converged_std and fmean(recent) > self.converged_reward:
            return "converged"
        return "plateau"
