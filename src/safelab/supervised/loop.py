"""The way over the batches, whatever is learnt."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from safelab.errors import RunFailed

Item = TypeVar("Item")
Item_contra = TypeVar("Item_contra", contravariant=True)


class Lesson(Protocol[Item_contra]):
    """What is learnt, from items of any kind. A loss is a sum, and the count that it is to be divided by."""

    @property
    def model(self) -> nn.Module:
        """Whose weights learn."""

    def count(self, items: Sequence[Item_contra]) -> int:
        """What the loss of ``items`` is averaged over: tokens, states or pairs."""

    def loss_sum(self, items: Sequence[Item_contra]) -> Tensor:
        """Not yet averaged; a scalar that carries gradient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How the weights move.

    Attributes:
        steps: batches to learn from.
        warmup_steps: steps in which the learning rate rises to its highest.
        lr: AdamW's highest learning rate.
        weight_decay: AdamW's.
        max_grad_norm: longer gradients are shortened to this length.
        report_every: steps from one line of progress to the next.
    """

    steps: int
    warmup_steps: int
    lr: float
    weight_decay: float
    max_grad_norm: float
    report_every: int = 1


def whole(batch: Sequence[Item]) -> Iterable[Sequence[Item]]:
    """All of it in one pass."""
    return [batch]


def learn(
    lesson: Lesson[Item],
    batches: Iterable[Sequence[Item]],
    recipe: Recipe,
    say: Callable[[str], None],
    pieces: Callable[[Sequence[Item]], Iterable[Sequence[Item]]] = whole,
) -> list[dict[str, float]]:
    """AdamW over all weights, one step per batch; leaves the model in ``eval`` mode.

    Args:
        lesson: what is learnt.
        batches: at least as many as the recipe has steps; an endless stream will do.
        recipe: how.
        say: is told of the progress.
        pieces: what of a batch goes through the model together; changes memory and time, not numbers.

    Returns:
        Loss and gradient norm of each step, the norm before it is shortened.

    Raises:
        RunFailed: a loss or a gradient is not finite.
    """
    weights = [weight for weight in lesson.model.parameters() if weight.requires_grad]
    # foreach: the same bits as torch's default on the CPU, in half the time for small models.
    optimizer = torch.optim.AdamW(weights, lr=recipe.lr, weight_decay=recipe.weight_decay, foreach=True)
    schedule = rise_and_fall(optimizer, recipe.warmup_steps, recipe.steps)
    rows = []
    lesson.model.train()
    for step, batch in enumerate(islice(batches, recipe.steps), start=1):
        loss = _backward(lesson, pieces(batch), lesson.count(batch))
        norm = float(nn.utils.clip_grad_norm_(weights, recipe.max_grad_norm))
        if not torch.isfinite(torch.tensor([loss, norm])).all():
            raise RunFailed(f"step {step}: loss must be finite, got {loss} (gradient norm {norm}); lower lr")
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        rows.append({"step": step, "loss": loss, "grad_norm": norm})
        if step % recipe.report_every == 0:
            say(f"step {step} of {recipe.steps}, loss {loss:.3f}")
    lesson.model.eval()
    return rows


def rise_and_fall(optimizer: torch.optim.Optimizer, warmup_steps: int, steps: int) -> LambdaLR:
    """The learning rate: up to its highest in ``warmup_steps``, then down to 0 after ``steps``, both straight.

    Of the highest rate, step s of n (from 0) has (s + 1) / (w + 1) while s < w, then (n - s) / (n - w).
    """
    from transformers import get_linear_schedule_with_warmup

    # Theirs has a rate of 0 at its first step. Begun at its second, the first step learns as well.
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    schedule: LambdaLR = get_linear_schedule_with_warmup(optimizer, warmup_steps + 1, steps + 1, last_epoch=0)
    return schedule


def _backward(lesson: Lesson[Item], pieces: Iterable[Sequence[Item]], total: int) -> float:
    """Adds the gradient of the mean loss over ``total``, piece by piece; returns that mean."""
    loss = 0.0
    for piece in pieces:
        part = lesson.loss_sum(piece) / total
        part.backward()  # type: ignore[no-untyped-call]
        loss += part.item()
    return loss
