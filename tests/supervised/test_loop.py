"""The one loop against a training written out by hand, and its learning rate against a formula and transformers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count, repeat

import pytest
import torch
from torch import Tensor, nn
from transformers import get_linear_schedule_with_warmup

from safelab.errors import RunFailed
from safelab.supervised.loop import Recipe, learn, rise_and_fall
from safelab.supervised.rows import cut

LR, DECAY, NORM = 0.1, 0.02, 0.5
RECIPE = Recipe(steps=6, warmup_steps=2, lr=LR, weight_decay=DECAY, max_grad_norm=NORM)
Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """y = a x + b by least squares; in double precision, so that only the method can differ."""

    model: nn.Linear

    def count(self, items: Sequence[Point]) -> int:
        return len(items)

    def loss_sum(self, items: Sequence[Point]) -> Tensor:
        points = torch.tensor(items, dtype=torch.float64)
        return (self.model(points[:, :1])[:, 0] - points[:, 1]).square().sum()


def line(a: float = 0.3, b: float = -0.2) -> Line:
    model = nn.Linear(1, 1, dtype=torch.float64)
    model.weight.data.fill_(a)
    model.bias.data.fill_(b)
    return Line(model)


def points(batch: int, size: int = 4) -> list[Point]:
    return [(float(i + 1), 3.0 * i - batch) for i in range(size)]


BATCHES = [points(batch) for batch in range(6)]


def by_hand(a: float, b: float) -> tuple[list[float], list[float], list[float]]:
    """Weights, losses and gradient norms of AdamW in plain Python (Loshchilov and Hutter 2019, algorithm 2)."""
    weights, first, second = [a, b], [0.0, 0.0], [0.0, 0.0]
    losses, norms = [], []
    rates = [LR / 3, 2 * LR / 3, LR, 3 * LR / 4, 2 * LR / 4, LR / 4]
    for t, (batch, rate) in enumerate(zip(BATCHES, rates, strict=True), start=1):
        errors = [weights[0] * x + weights[1] - y for x, y in batch]
        losses.append(sum(e * e for e in errors) / len(batch))
        slopes = [sum(2 * e * x for e, (x, _) in zip(errors, batch, strict=True)), sum(2 * e for e in errors)]
        gradient = [slope / len(batch) for slope in slopes]
        norms.append(math.hypot(*gradient))
        scale = min(1.0, NORM / norms[-1])
        for i in range(2):
            g = gradient[i] * scale
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g * g
            weights[i] -= rate * DECAY * weights[i]
            weights[i] -= rate * (first[i] / (1 - 0.9**t)) / (math.sqrt(second[i] / (1 - 0.999**t)) + 1e-8)
    return weights, losses, norms


def weights_of(lesson: Line) -> list[float]:
    return [lesson.model.weight.item(), lesson.model.bias.item()]


def test_it_is_adamw_on_the_mean_loss_with_shortened_gradients_and_a_rate_that_rises_and_falls() -> None:
    lesson = line()
    rows = learn(lesson, BATCHES, RECIPE, lambda text: None)
    weights, losses, norms = by_hand(0.3, -0.2)
    # torch adds 1e-6 to the norm that it divides by.
    assert weights_of(lesson) == pytest.approx(weights, rel=1e-5)
    assert [row["loss"] for row in rows] == pytest.approx(losses, rel=1e-5)
    assert [row["grad_norm"] for row in rows] == pytest.approx(norms, rel=1e-5)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert min(norms) > NORM


@pytest.mark.parametrize("size", [1, 3, 4, 9])
def test_a_batch_in_pieces_is_the_batch(size: int) -> None:
    whole, pieces = line(), line()
    rows = learn(whole, BATCHES, RECIPE, lambda text: None)
    same = learn(pieces, BATCHES, RECIPE, lambda text: None, lambda batch: cut(batch, size))
    assert weights_of(pieces) == pytest.approx(weights_of(whole), rel=1e-9)
    for mine, theirs in zip(same, rows, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-9)


def test_it_takes_as_many_batches_as_it_has_steps_from_an_endless_stream() -> None:
    finite, endless = line(), line()
    learn(finite, BATCHES, RECIPE, lambda text: None)
    learn(endless, (points(batch) for batch in count()), RECIPE, lambda text: None)
    assert weights_of(endless) == weights_of(finite)


def test_frozen_weights_stay_and_the_model_ends_in_eval_mode() -> None:
    lesson = line()
    lesson.model.bias.requires_grad_(False)
    learn(lesson, BATCHES, RECIPE, lambda text: None)
    assert lesson.model.bias.item() == -0.2
    assert lesson.model.weight.item() != 0.3
    assert not lesson.model.training


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e200])
def test_a_loss_that_is_not_finite_stops_before_the_weights_move(bad: float) -> None:
    lesson = line()
    with pytest.raises(RunFailed, match=r"step 1: loss must be finite, got (nan|inf).*lower lr"):
        learn(lesson, repeat([(1.0, bad)]), RECIPE, lambda text: None)
    assert weights_of(lesson) == [0.3, -0.2]


def test_progress_comes_as_often_as_the_recipe_says() -> None:
    said: list[str] = []
    rows = learn(line(), BATCHES, replace(RECIPE, report_every=3), said.append)
    assert said == [f"step 3 of 6, loss {rows[2]['loss']:.3f}", f"step 6 of 6, loss {rows[5]['loss']:.3f}"]


def rates(warmup_steps: int, steps: int, lr: float = 1.0) -> list[float]:
    """The rate of each step, and what is left after the last."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
    schedule = rise_and_fall(optimizer, warmup_steps, steps)
    found = []
    for _ in range(steps + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_the_schedule_by_hand() -> None:
    assert rates(1, 5) == [0.5, 1.0, 0.75, 0.5, 0.25, 0.0]
    assert rates(0, 2) == [1.0, 0.5, 0.0]


@pytest.mark.parametrize(
    ("warmup_steps", "steps", "lr"), [(50, 1200, 8e-3), (18, 189, 2e-3), (0, 7, 1e-2), (3, 3, 1.0)]
)
def test_the_schedule_is_a_straight_line_to_the_last_bit(warmup_steps: int, steps: int, lr: float) -> None:
    """The embedded world's weights hang on these bits; a release of transformers that moves one must not pass."""

    def share(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        return max(0.0, (steps - step) / max(1, steps - warmup_steps))

    assert rates(warmup_steps, steps, lr) == [lr * share(step) for step in range(steps + 1)]


def test_without_warmup_it_is_transformers_own() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.3)
    theirs = get_linear_schedule_with_warmup(optimizer, 0, 9)
    for rate in rates(0, 9, 0.3):
        assert optimizer.param_groups[0]["lr"] == rate
        optimizer.step()
        theirs.step()
