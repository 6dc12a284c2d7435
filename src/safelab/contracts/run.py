"""What accompanies the loop: ``optimizer``, ``tracker``, ``guard``."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import nn

from safelab.contracts.part import Part
from safelab.options import Options


class GradientPenalty(Options):
    """``coef``: gamma of ``gamma / 2 |grad L|^2``, 0 for none. ``step``: eps of its finite difference.

    ``clip``: the norm to which both gradients are scaled down first, null for no limit. ``direction``: of the step; a
    ``random`` one of the same length is a control, which penalises nothing. See ``training.gradient_penalty``.
    """

    coef: Annotated[float, Field(ge=0)]
    step: Annotated[float, Field(gt=0)]
    clip: Annotated[float, Field(gt=0)] | None
    direction: Literal["gradient", "random"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizers:
    """Both optimisers of a run; a critic without weights has none. A gradient norm limit of None limits nothing.

    ``gradient_penalty``: what the policy's loss has besides; None for nothing.
    """

    policy: torch.optim.Optimizer
    critic: torch.optim.Optimizer | None
    policy_max_grad_norm: float | None
    critic_max_grad_norm: float | None
    gradient_penalty: GradientPenalty | None = None


class OptimizerFactory(Part, ABC):
    """``optimizer``: how often and how far an update moves the weights.

    ``epochs``: passes over a rollout. ``minibatches``: optimiser steps per pass. ``micro_batch_size``: sequences
    per forward pass, null for the whole minibatch; it changes memory, not numbers. ``micro_batch_tokens``: likewise
    the most tokens, prompts included, that go into one pass, but for a sequence that has more. ``target_kl``: in nats
    per response token; an update ends after the first pass whose KL from the policy before it (k3) is above this;
    null: every update makes all its epochs.
    """

    epochs: Annotated[int, Field(ge=1)]
    minibatches: Annotated[int, Field(ge=1)]
    micro_batch_size: Annotated[int, Field(ge=1)] | None
    micro_batch_tokens: Annotated[int, Field(ge=1)] | None
    target_kl: Annotated[float, Field(gt=0)] | None

    def lr_share(self, update: int, updates: int) -> float | None:
        """What of each group's ``initial_lr`` its learning rate is in an update (of ``updates``, from 0).

        None, as here: rates stay as ``make`` set them, and groups need no ``initial_lr``.
        """
        return None

    @abstractmethod
    def make(self, policy: nn.Module, critic: nn.Module) -> Optimizers:
        """Fresh optimisers over the parameters that require a gradient."""


class Mirror(ABC):
    """A tracker's copy of one run, open from before the first row until the run has ended.

    Whoever goes on with a run opens it anew and is shown its whole curve: a mirror that outlives its process must show
    no row twice.
    """

    @abstractmethod
    def log(self, row: Mapping[str, Any]) -> None:
        """One row of ``metrics.jsonl`` that stays as it is: in order, each once, those before a resume included.

        With ``guard=rollback`` a row comes when no rollback can take it back any more.
        """

    def samples(self, update: int, records: Sequence[Mapping[str, Any]]) -> None:  # noqa: B027 (many show none)
        """What the policy wrote at ``update``, as in ``samples.jsonl``, after the row of that update."""

    @abstractmethod
    def finish(self, status: str) -> None:
        """Called once, whatever happened."""


class Tracker(Part, ABC):
    """``tracker``: mirrors the run elsewhere; the run's own files are the truth.

    ``tags`` and ``notes`` are the user's own words about the run. They stand in ``run.json`` whatever the tracker is,
    and a run may go on with others.
    """

    tags: list[Annotated[str, Field(min_length=1, max_length=64)]]
    notes: str | None

    @abstractmethod
    def start(self, directory: Path, config: Mapping[str, Any], run: Mapping[str, Any]) -> Mirror:
        """Open the mirror of the run in ``directory``; ``run`` is what ``run.json`` says of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """What a run does instead of ending: it goes back to its last checkpoint and goes on with other rates.

    ``lr_factor`` multiplies both learning rates, ``kl_coef_factor`` the KL penalty, at each rollback; after
    ``max_rollbacks`` of them the run ends.
    """

    max_rollbacks: int
    lr_factor: float
    kl_coef_factor: float


class Guard(Part, ABC):
    """``guard``: looks at each row and may stop the run, or have it go back where it has a ``remedy``."""

    @property
    def remedy(self) -> Remedy | None:
        """What is done about an objection; None: the run stops."""
        return None

    @abstractmethod
    def verdict(self, row: Mapping[str, Any]) -> str | None:
        """The reason to stop, or None to go on."""
