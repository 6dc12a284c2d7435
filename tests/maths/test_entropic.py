import numpy as np
import pytest
import torch
from scipy import optimize, special

from safelab.maths.entropic import robust_loss_seq

RATIO, GROUP = torch.tensor([1.114815, 0.475]), torch.tensor([0, 0])
ADVANTAGE = torch.tensor([0.5, -0.5])


def test_worked_losses() -> None:
    plain = robust_loss_seq(RATIO, ADVANTAGE, GROUP, 2.0, jackknife=False, offset=False)
    assert torch.allclose(plain.mean(), torch.tensor(-0.604738), atol=1e-5)
    offset = robust_loss_seq(RATIO, ADVANTAGE, GROUP, 2.0, jackknife=False)
    assert torch.allclose(offset.mean(), torch.tensor(-2.194553), atol=1e-5)
    jackknife = robust_loss_seq(RATIO, ADVANTAGE, GROUP, 2.0, jackknife=True)
    assert torch.allclose(jackknife.mean(), torch.tensor(-2.163538), atol=1e-5)


def test_a_group_of_one_has_no_jackknife_and_no_gradient_at_the_old_policy() -> None:
    ratio = torch.ones(1, requires_grad=True)
    loss = robust_loss_seq(ratio, torch.zeros(1), torch.tensor([4]), 2.0, jackknife=True)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert ratio.grad.item() == 0.0


def test_the_jackknife_takes_off_the_first_order_bias() -> None:
    """E log of a mean of n is below the log of the mean by about var / (2 n mean^2)."""
    noise = torch.Generator().manual_seed(0)
    ratio = torch.exp(0.5 * torch.randn(40_000, generator=noise))
    group = torch.arange(10_000).repeat_interleave(4)
    truth = torch.tensor(0.125)  # log of the lognormal's mean
    plain, corrected = (
        robust_loss_seq(ratio, torch.zeros(40_000), group, 1.0, jackknife=jackknife, offset=False).mean()
        for jackknife in (False, True)
    )
    assert (corrected - truth).abs() < 0.2 * (plain - truth).abs()


def worst_case(advantage: np.ndarray, ratio: np.ndarray, risk: float) -> float:
    """``max_q E_q[-A] - risk KL(q || p)`` over distributions q on a group, p_i = s_i / n, by a numerical search."""
    prior = ratio / len(ratio)

    def loss(logits: np.ndarray) -> float:
        q = special.softmax(logits)
        return float(q @ advantage + risk * special.rel_entr(q, prior).sum())

    return -float(optimize.minimize(loss, np.zeros(len(ratio)), method="BFGS", options={"gtol": 1e-9}).fun)


def drawn(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ratios, advantages and groups of 3, 4 and 2 responses, not in order; float64."""
    random = np.random.default_rng(seed)
    group = random.permutation([0, 0, 0, 7, 7, 7, 7, 2, 2])
    return torch.tensor(random.uniform(0.5, 1.5, 9)), torch.tensor(random.normal(size=9)), torch.tensor(group)


@pytest.mark.parametrize("risk", [0.5, 1.0, 3.0])
def test_the_value_is_the_worst_expectation_near_the_policy(risk: float) -> None:
    ratio, advantage, group = drawn(1)
    loss = robust_loss_seq(ratio, advantage, group, risk, jackknife=False, offset=False)
    for number in group.unique():
        rows = group == number
        expected = worst_case(advantage[rows].numpy(), ratio[rows].numpy(), risk)
        value = risk / max(risk, 1.0) * loss[rows]  # without the scale of the loss, in units of the reward
        assert value.tolist() == pytest.approx([expected] * int(rows.sum()), abs=1e-6)


@pytest.mark.parametrize("risk", [0.001, 0.03, 0.3, 0.7, 50.0])
def test_the_jackknife_is_one_log_sum_left_out_after_another(risk: float) -> None:
    ratio, advantage, group = drawn(2)
    loss = robust_loss_seq(ratio, advantage, group, risk, jackknife=True)
    for number in group.unique().tolist():
        rows = np.flatnonzero(group.numpy() == number)
        x, s, n = -advantage.numpy()[rows] / risk, ratio.numpy()[rows], len(rows)
        left_out = [special.logsumexp(np.delete(x, i), b=np.delete(s, i) / (n - 1)) for i in range(n)]
        value = n * special.logsumexp(x, b=s / n) - (n - 1) * np.mean(left_out)
        expected = max(risk, 1.0) * (value - s)
        assert loss[torch.tensor(rows)].tolist() == pytest.approx(expected.tolist(), rel=1e-9)


@pytest.mark.parametrize("gap", [10.0, 20.0, 80.0, 600.0])
def test_a_weight_that_dominates_its_group_leaves_the_others_to_float32(gap: float) -> None:
    """The sum of the others as the whole less the greatest loses all digits from 16 nats on (gap 20: 55.9)."""
    advantage, ratio = [-gap, 0.0, 0.1], [1.0, 0.9, 1.1]
    weight = [special.logsumexp([-a], b=[s]) for a, s in zip(advantage, ratio, strict=True)]
    left_out = [special.logsumexp([w for j, w in enumerate(weight) if j != i]) - np.log(2) for i in range(3)]
    expected = 3 * (special.logsumexp(weight) - np.log(3)) - 2 * np.mean(left_out)
    leaf = torch.tensor(ratio, requires_grad=True)
    loss = robust_loss_seq(leaf, torch.tensor(advantage), torch.zeros(3, dtype=torch.long), 1.0, True, offset=False)
    assert loss.tolist() == pytest.approx([expected] * 3, rel=1e-6)
    loss.sum().backward()
    # d value / d s_0 = 3 w_0 / sum w - 2 mean_i (w_0 / sum of the others of i), the greatest being in two of three.
    assert leaf.grad[0].item() == pytest.approx(3 * (3 - 4 / 3), rel=1e-3)
    assert torch.isfinite(leaf.grad).all()


@pytest.mark.parametrize("risk", [0.5, 2.0])
def test_at_the_old_policy_a_responses_gradient_is_its_weight_over_the_mean(risk: float) -> None:
    _, advantage, group = drawn(3)
    ratio = torch.ones(9, dtype=torch.float64, requires_grad=True)
    robust_loss_seq(ratio, advantage, group, risk, jackknife=False).sum().backward()
    for number in group.unique():
        rows = (group == number).numpy()
        weight = np.exp(-advantage.numpy()[rows] / risk)
        expected = max(risk, 1.0) * (weight / weight.mean() - 1)
        assert ratio.grad.numpy()[rows].tolist() == pytest.approx(expected.tolist(), abs=1e-12)


def test_without_risk_it_is_the_advantage_itself() -> None:
    _, advantage, group = drawn(4)
    for number in group.unique():
        advantage[group == number] -= advantage[group == number].mean()
    ratio = torch.ones(9, dtype=torch.float64, requires_grad=True)
    robust_loss_seq(ratio, advantage, group, 1e6, jackknife=False).sum().backward()
    torch.testing.assert_close(ratio.grad, -advantage, atol=1e-5, rtol=0)
