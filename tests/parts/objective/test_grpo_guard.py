import itertools
import math
from dataclasses import replace

import pytest
import torch

from support.objectives import ADVANTAGE, MASK, NEW, OLD, golden_batch, objective, reduced, told
from support.objectives import current as now


def naive(new, old, advantage, mask, *, low, high, eps):
    """The loss of each token, number by number."""
    columns = {t: [i for i in range(len(mask)) if mask[i][t]] for t in range(len(mask[0]))}
    ratio = [[a - b for a, b in zip(one, other, strict=True)] for one, other in zip(new, old, strict=True)]
    means = {t: sum(ratio[i][t] for i in rows) / len(rows) for t, rows in columns.items()}
    squares = {t: sum((ratio[i][t] - means[t]) ** 2 for i in rows) for t, rows in columns.items()}
    tokens = sum(map(len, columns.values()))
    common = math.sqrt(sum(squares.values()) / (tokens - len(columns)))
    losses = {}
    for t, rows in columns.items():
        for i in rows:
            value = ratio[i][t]
            if len(rows) > 1:
                value = (value - means[t]) * (common + eps) / (math.sqrt(squares[t] / (len(rows) - 1)) + eps)
            r, a = math.exp(value), advantage[i][t]
            weight = tokens / (len(columns) * len(rows))
            losses[i, t] = weight * max(-a * r, -a * min(max(r, 1 - low), 1 + high))
    return losses


@pytest.mark.parametrize(("low", "high"), [(0.2, None), (0.3, 0.1)])
def test_it_is_the_loop_on_the_golden_responses(low: float, high: float | None) -> None:
    answer = told(objective("grpo_guard", clip_range=low, clip_range_high=high))
    tensors = (x.double().tolist() for x in (NEW, OLD, ADVANTAGE))
    expected = naive(*tensors, MASK.tolist(), low=low, high=high or low, eps=1e-2)
    found = {(i, t): answer.loss_tok[i, t].item() for i, t in itertools.product(range(2), range(3)) if MASK[i, t]}
    assert found == pytest.approx(expected, abs=1e-5)


def test_at_the_old_policy_positions_pull_alike() -> None:
    """Position by position the gradient's weights add up to a third of the tokens, however many responses are left."""
    logp = OLD.clone().requires_grad_()
    batch = golden_batch(advantage_tok=torch.ones_like(ADVANTAGE))
    told(objective("grpo_guard"), now(logp), batch).loss_tok[MASK].sum().backward()
    assert logp.grad.sum(dim=0).tolist() == pytest.approx([-5 / 3] * 3)
    assert logp.grad[0].tolist() == pytest.approx([-5 / 6, -5 / 6, -5 / 3])


def normal(rows: int, deviations: torch.Tensor) -> torch.Tensor:
    """Log-ratios as a Gaussian step has them: mean -s^2 / 2, so that the mean ratio is 1; s of each position."""
    noise = torch.special.ndtri((torch.arange(rows, dtype=torch.float64) + 0.5) / rows)
    order = [torch.randperm(rows, generator=torch.Generator().manual_seed(t)) for t in range(len(deviations))]
    return torch.stack([s * noise[own] - s**2 / 2 for s, own in zip(deviations, order, strict=True)], dim=1)


def many(log_ratio: torch.Tensor, advantage: float):
    """A minibatch of the policy's tokens with these log-ratios and one advantage."""
    mask = torch.ones_like(log_ratio, dtype=torch.bool)
    rows = golden_batch().rows(torch.zeros(len(log_ratio), dtype=torch.long))
    zeros = torch.zeros_like(log_ratio)
    changes = dict.fromkeys(("logp_rollout_tok", "logp_old_tok", "logp_ref_tok"), zeros)
    return replace(
        rows, **changes, mask=mask, ids=torch.zeros(mask.shape, dtype=torch.long),
        hidden_ref=torch.zeros(*mask.shape, 1), advantage_tok=torch.full_like(log_ratio, advantage),
    )  # fmt: skip


def test_on_gaussian_log_ratios_the_clip_acts_alike_on_both_signs_and_all_positions() -> None:
    """Bounds 5/6 and 6/5 are as far from 1 in log: a share Phi(-log 1.2 / s) of either sign is beyond, s common."""
    deviations = torch.tensor([0.05, 0.1, 0.3, 0.6], dtype=torch.float64)
    log_ratio = normal(4000, deviations)
    common = deviations.square().mean().sqrt()
    expected = float(torch.special.ndtr(-math.log(1.2) / common))
    clip = {"clip_range": 1 / 6, "clip_range_high": 0.2}
    for sign, metric in ((1.0, "clipped_gain"), (-1.0, "clipped_loss")):
        batch = many(log_ratio, sign)
        even = told(objective("grpo_guard", **clip, eps=1e-9), now(log_ratio), batch)
        assert even.clipped_tok.double().mean(dim=0).tolist() == pytest.approx([expected] * 4, abs=2e-3)
        assert float(even.metrics_tok[metric].mean()) == pytest.approx(expected, abs=2e-3)
        plain = told(objective("ppo_clip", **clip), now(log_ratio), batch).clipped_tok.double().mean(dim=0)
        # Without the guard: Phi((-log 1.2 -+ s^2 / 2) / s), less where A > 0, and next to nothing at small s.
        own = torch.special.ndtr((-math.log(1.2) - sign * deviations.square() / 2) / deviations)
        assert plain.tolist() == pytest.approx(own.tolist(), abs=2e-3)


def test_worked_metrics() -> None:
    """Log-ratios .182322, .405465, -.057158 and -.287682, -1.609438; one token at the last position."""
    found = {name: float(value[MASK].mean()) for name, value in told(objective("grpo_guard")).metrics_tok.items()}
    offsets = [abs(0.182322 - 0.287682) / 2, abs(0.405465 - 1.609438) / 2]
    deviations = [(0.182322 + 0.287682) / 2**0.5, (0.405465 + 1.609438) / 2**0.5]
    common = ((deviations[0] ** 2 + deviations[1] ** 2) / 2) ** 0.5
    uneven = [abs(one - common) for one in deviations]
    assert found["offset_before"] == pytest.approx((2 * sum(offsets) + 0.057158) / 5, abs=1e-5)
    assert found["offset_after"] == pytest.approx(0.057158 / 5, abs=1e-5)
    assert found["unevenness_before"] == pytest.approx(2 * sum(uneven) / 5, abs=1e-5)
    assert found["unevenness_after"] < 0.05 * found["unevenness_before"]
    # Of the three tokens with A > 0 the first two are beyond 1.2, of the two with A < 0 both are below 0.8.
    assert (found["clipped_gain"], found["clipped_loss"]) == (pytest.approx(2 / 3), pytest.approx(1.0))


def test_the_weights_leave_the_scale_of_the_loss() -> None:
    """Equal losses have the mean that they have without weights."""
    batch = golden_batch(advantage_tok=torch.ones_like(ADVANTAGE))
    answer = told(objective("grpo_guard"), now(OLD), batch)
    assert float(reduced(answer, batch)) == pytest.approx(-1.0)
