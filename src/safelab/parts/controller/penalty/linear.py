"""P(K) = coef K: the usual KL penalty; the threshold plays no part.

Ref: Ziegler et al. 2019, arXiv 1909.08593, eq. 2.
"""

from safelab.contracts import Penalty, Term


class Linear(Penalty):
    """Slope coef everywhere. The strength is ``controller/coefficient``'s."""

    def term(self, kl: float, threshold: float, coef: float) -> Term:
        """Value coef K, slope coef."""
        return Term(value=coef * kl, slope=coef)
