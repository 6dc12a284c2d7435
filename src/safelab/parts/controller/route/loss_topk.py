"""The KL over the policy's likeliest tokens before the update in the loss, and a sampled estimate of the rest.

    KL_t = sum_{v in S} p_v log(p_v / q_v)  +  1[a not in S] w (log p_a - log q_a),     w = sg(p_a / mu_a)

S: the ``k`` likeliest tokens of the policy before the update, mu: the policy that sampled. Its value is unbiased. So is
its gradient where the last term has that of w p (log p - log q), which is w (d + 1) grad log p. As released, it has
w d grad log p alone, and the sum over the vocabulary lacks -grad p(S): each step pushes probability out of S.
Ref: EMA-PG, arXiv 2602.04417, by its released code.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from safelab.contracts import Route
from safelab.maths.divergence import k1, topk_kl
from safelab.types import TopK


class LossTopK(Route):
    """``k``: tokens of S; with all of the vocabulary, or more, it is ``loss_exact``. ``gradient``: see above."""

    in_loss: ClassVar[bool] = True

    k: Annotated[int, Field(ge=1)]
    gradient: Literal["unbiased", "released"]

    @property
    def top_k(self) -> int:
        """``k``."""
        return self.k

    def kl_topk_tok(self, topk: TopK, log_ratio_ref_tok: Tensor, log_ratio_tok: Tensor) -> Tensor:
        """See above."""
        return topk_kl(
            topk.logp, topk.logp_ref, topk.inside_tok, log_ratio_ref_tok, log_ratio_tok,
            released=self.gradient == "released",
        )  # fmt: skip

    def kl_tok(self, exact_tok: Tensor, log_ratio_ref_tok: Tensor, log_ratio_tok: Tensor) -> Tensor:
        """k1, for the log of an update without a penalty."""
        return k1(log_ratio_ref_tok)
