"""P(K) = coef max(0, K - tau)^2: a KL below the threshold, or a negative estimate of it, is free.

Ref: SAFE, arXiv 2602.04651; released with coef 0.1.
"""

from safelab.contracts import Context
from safelab.options import Options as BaseOptions
from safelab.parts.controller._parts import Term


class Options(BaseOptions):
    """Nothing to set: the strength is ``controller/coefficient``'s."""

    name: str


def build(options: Options, context: Context) -> "Asymmetric":
    """The penalty; it holds no state."""
    return Asymmetric()


class Asymmetric:
    """Slope 0 up to the threshold, growing above it."""

    def term(self, kl: float, threshold: float, coef: float) -> Term:
        """Value coef (K - tau)^2 and slope 2 coef (K - tau) above tau, else 0."""
        excess = max(0.0, kl - threshold)
        return Term(value=coef * excess**2, slope=2 * coef * excess)
