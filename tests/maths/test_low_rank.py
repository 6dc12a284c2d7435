"""The greedy rank by hand, and the factored truncation against the SVD of the whole product."""

import pytest
import torch

from safelab.maths.low_rank import greedy_rank, product_svd, truncated


@pytest.mark.parametrize(
    ("singular", "share", "rank"),
    [
        ([4.0, 3.0, 2.0, 1.0], 0.75, 2),  # shares .4 .7 .9 1
        ([4.0, 3.0, 2.0, 1.0], 0.7, 2),  # equal to the share is within it
        ([4.0, 3.0, 2.0, 1.0], 0.69, 1),
        ([4.0, 3.0, 2.0, 1.0], 0.3, 1),  # never below 1
        ([4.0, 3.0, 2.0, 1.0], 1.0, 4),
        ([0.1, 0.1, 0.1], 1.0, 3),  # whose sum is not three times its first to the last digit
        ([5.0], 0.5, 1),
        ([5.0, 0.0, 0.0], 0.9, 1),
        ([5.0, 0.0, 0.0], 1.0, 3),
        ([0.0, 0.0], 0.9, 1),
    ],
)
def test_greedy_ranks_by_hand(singular: list[float], share: float, rank: int) -> None:
    assert greedy_rank(torch.tensor(singular, dtype=torch.float64), share) == rank


def factors(m: int, r: int, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    drawn = torch.Generator().manual_seed(m + 10 * r + 100 * n)
    return (
        torch.randn(m, r, generator=drawn, dtype=torch.float64),
        torch.randn(r, n, generator=drawn, dtype=torch.float64),
    )


SHAPES = [(12, 4, 9), (9, 4, 12), (3, 5, 8), (8, 5, 3), (4, 1, 4)]  # two of them thinner than their factors are wide


@pytest.mark.parametrize(("m", "r", "n"), SHAPES)
def test_the_singular_values_are_those_of_the_whole_product(m: int, r: int, n: int) -> None:
    b, a = factors(m, r, n)
    u, singular, vh = product_svd(b, a)
    torch.testing.assert_close(singular, torch.linalg.svdvals(b @ a)[: len(singular)], atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(u * singular @ vh, b @ a, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 1.0])
@pytest.mark.parametrize(("m", "r", "n"), SHAPES)
def test_the_product_is_the_truncated_svd_of_the_whole_matrix(m: int, r: int, n: int, share: float) -> None:
    b, a = factors(m, r, n)
    cut = truncated(b, a, share)
    u, singular, vh = torch.linalg.svd(b @ a, full_matrices=False)
    thin = singular[:r] / singular.sum()
    rank = max(1, sum(thin[: count + 1].sum() <= share + 1e-12 for count in range(min(m, r, n))))
    assert cut.rank == cut.used == rank
    torch.testing.assert_close(cut.b @ cut.a, u[:, :rank] * singular[:rank] @ vh[:rank], atol=1e-9, rtol=1e-9)
    assert cut.kept == pytest.approx(float(singular[:rank].sum() / singular.sum()), abs=1e-9)
    assert (cut.b.shape, cut.a.shape) == (b.shape, a.shape)


def test_both_factors_are_equally_long_and_zero_beyond_the_rank() -> None:
    cut = truncated(*factors(12, 4, 9), 0.6)
    used = cut.used
    torch.testing.assert_close(cut.b.mT @ cut.b, cut.a @ cut.a.mT, atol=1e-9, rtol=1e-9)
    assert cut.b[:, used:].abs().sum() == cut.a[used:].abs().sum() == 0
    assert (cut.b[:, :used].norm(dim=0) > 0).all()


def test_an_update_that_is_zero_stays_zero_and_uses_no_column() -> None:
    _, a = factors(6, 3, 5)
    cut = truncated(torch.zeros(6, 3, dtype=torch.float64), a, 0.9)
    assert (cut.used, cut.rank, cut.kept) == (0, 1, 1.0)
    assert cut.b.abs().sum() == cut.a.abs().sum() == 0


def test_directions_that_are_only_rounding_use_no_column() -> None:
    b, a = factors(6, 3, 5)
    b[:, 2] = b[:, 1]  # a product of rank 2
    cut = truncated(b, a, 1.0)
    assert (cut.used, cut.rank) == (2, 3)
    torch.testing.assert_close(cut.b @ cut.a, b @ a, atol=1e-9, rtol=1e-9)
