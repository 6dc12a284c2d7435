"""The parts of one run, built and checked: all that the loop needs besides its state."""

from dataclasses import dataclass, field
from typing import Any

from safelab.contracts import (
    AdvantageEstimator,
    Aggregation,
    Controller,
    Correction,
    Critic,
    Evaluator,
    Guard,
    Objective,
    OptimizerFactory,
    PairSource,
    Policy,
    Preference,
    PromptSource,
    Reading,
    Reward,
    Sampler,
    Shaping,
    Tracker,
    reading_of,
)
from safelab.crash.detectors import DetectorOptions
from safelab.ranks import Ranks
from safelab.training.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """The run's own settings, and one object per group, in the order in which they are built.

    ``pairs`` and ``preference``: None where the run is online. ``ranks``: the processes that train it together.
    """

    settings: Settings
    detectors: DetectorOptions
    policy: Policy
    reward: Reward
    evaluator: Evaluator
    data: PromptSource
    pairs: PairSource | None
    rollout: Sampler
    shaping: Shaping[Any]
    critic: Critic
    controller: Controller[Any]
    advantage: AdvantageEstimator
    objective: Objective[Any]
    correction: Correction
    aggregation: Aggregation
    preference: Preference | None
    optimizer: OptimizerFactory
    tracker: Tracker
    guard: Guard
    ranks: Ranks = field(default_factory=Ranks)

    @property
    def reading(self) -> Reading:
        """The columns of the data that are read."""
        return reading_of(self.reward) | reading_of(self.evaluator)
