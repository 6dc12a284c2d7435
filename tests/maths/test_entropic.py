import torch

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
