"""An optimiser without a backward pass: its gradient is estimated from votes between two policies."""

from abc import ABC
from typing import Annotated, Literal

from pydantic import Field

from safelab.contracts.run import OptimizerFactory
from safelab.options import Options
from safelab.types import Link


class Oracle(Options):
    """Who compares two responses to a prompt: ``votes`` voters, each by a probability.

        p(takes the first) = link((score of the first - score of the second) / link_temperature)

    ``of``: the score that they go by, the run's reward or its evaluator (``gold``). ``link_temperature``: in units of
    that score. ``trim``: the least share that the link is undone for; the greatest is 1 - trim.
    """

    of: Literal["gold", "reward"]
    link: Link
    link_temperature: Annotated[float, Field(gt=0)]
    votes: Annotated[int, Field(ge=1)]
    trim: Annotated[float, Field(gt=0, lt=0.5)]


class Perturbing(OptimizerFactory, ABC):
    """An ``optimizer`` whose updates ``training.zeroth`` makes; ``make`` gives what takes the step.

    ``mu``: length of the perturbation of all weights that train. ``block_size``: coordinates that a perturbation moves,
    null for all. ``perturbations``: of an update, each with its share of the prompts. ``noise``: whether both policies
    of a pair sample with the ``same`` numbers, or each with its ``own``.
    """

    mu: Annotated[float, Field(gt=0)]
    block_size: Annotated[int, Field(ge=1)] | None
    perturbations: Annotated[int, Field(ge=1)]
    noise: Literal["own", "same"]
    oracle: Oracle
