"""The greedy rank of a product of two thin factors, and the product cut down to it, without ever making the product.

    B A = Q_B R_B (Q_A R_A)^T = Q_B (R_B R_A^T) Q_A^T,     R_B R_A^T = U diag(s) V^T, as small as the factors are thin
    r_hat = max{ l : sum_{k <= l} s_k / sum_k s_k <= mass_share },  at least 1

A share of 1 keeps everything; the smaller it is, the fewer directions stay.
Ref: the rule is that of arXiv 2510.11899 (AdaRL); the truncated SVD is the nearest matrix of its rank (Eckart and Young
1936).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Truncated:
    """Two factors whose product is the truncated one, of the shapes that they had.

    ``used``: columns of ``b`` and rows of ``a`` that hold it; the others are zero. ``rank``: the greedy rank.
    ``kept``: the share of the singular values' sum that is left; 1 where there was none.
    """

    b: Float[Tensor, "m r"]
    a: Float[Tensor, "r n"]
    used: int
    rank: int
    kept: float


def greedy_rank(singular: Float[Tensor, "k"], mass_share: float) -> int:
    """r_hat of singular values in falling order; 1 where even the first is more than the share, or all are zero."""
    summed = singular.cumsum(0)
    if summed[-1] == 0:
        return 1
    return max(1, int((summed / summed[-1] <= mass_share).sum()))


def product_svd(
    b: Float[Tensor, "m r"], a: Float[Tensor, "r n"]
) -> tuple[Float[Tensor, "m k"], Float[Tensor, "k"], Float[Tensor, "k n"]]:
    """U, s and V^T of B A, as ``torch.linalg.svd`` gives them of it, no more of them than the factors are wide."""
    left, upper = torch.linalg.qr(b)
    right, lower = torch.linalg.qr(a.mT)
    u, singular, vh = torch.linalg.svd(upper @ lower.mT, full_matrices=False)
    return left @ u, singular, vh @ right.mT


def truncated(b: Float[Tensor, "m r"], a: Float[Tensor, "r n"], mass_share: float) -> Truncated:
    """B A cut down to its greedy rank: B' = U sqrt(s) and A' = sqrt(s) V^T, evenly, and zero beyond.

    Directions whose singular value is no more than float32's rounding of the largest are not used, whatever the rank.
    """
    u, singular, vh = product_svd(b, a)
    rank = greedy_rank(singular, mass_share)
    used = min(rank, int((singular > torch.finfo(torch.float32).eps * singular[0]).sum()))
    root = singular[:used].sqrt()
    new_b, new_a = torch.zeros_like(b), torch.zeros_like(a)
    new_b[:, :used] = u[:, :used] * root
    new_a[:used] = root[:, None] * vh[:used]
    total = float(singular.sum())
    return Truncated(
        b=new_b, a=new_a, used=used, rank=rank, kept=float(singular[:rank].sum()) / total if total else 1.0
    )
