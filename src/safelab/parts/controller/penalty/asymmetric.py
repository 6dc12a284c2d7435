"""P(K) = coef max(0, K - tau)^2: a KL below the threshold, or a negative estimate of it, is free.

Ref: SAFE, arXiv 2602.04651; released with coef 0.1.
"""

from safelab.contracts import Penalty, Term


class Asymmetric(Penalty):
    """Slope 0 up to the threshold, growing above it. The strength is ``controller/coefficient``'s."""

    def term(self, kl: float, threshold: float, coef: float) -> Term:
        """Value coef (K - tau)^2 and slope 2 coef (K - tau) above tau, else 0."""
        excess = max(0.0, kl - threshold)
        return Term(value=coef * excess**2, slope=2 * coef * excess)
