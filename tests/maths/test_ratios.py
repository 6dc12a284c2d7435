import torch

from safelab.maths.ratios import covariance_tok, prefix_min, sequence_log_ratio

RATIO = torch.tensor([[1.2, 1.5, 0.944444], [0.75, 0.2, 7.0]]).log()
MASK = torch.tensor([[True, True, True], [True, True, False]])


def test_worked_prefix_minimum() -> None:
    assert torch.allclose(prefix_min(RATIO, MASK).exp(), torch.tensor([[1.0, 1.2, 1.2], [1.0, 0.75, 1.0]]), atol=1e-6)
    assert torch.allclose(prefix_min(RATIO, MASK, inclusive=True).exp()[0], torch.tensor([1.2, 1.2, 0.944444]))


def test_worked_sequence_ratio() -> None:
    assert torch.allclose(sequence_log_ratio(RATIO, MASK).exp(), torch.tensor([1.193483, 0.387298]), atol=1e-6)


def test_covariance_sums_to_n_times_the_batchs() -> None:
    noise = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 3, generator=noise), torch.randn(2, 3, generator=noise)
    both = torch.stack([a[MASK], b[MASK]])
    assert torch.allclose(covariance_tok(a, b, MASK).sum(), 5 * torch.cov(both, correction=0)[0, 1], atol=1e-6)
