"""P(K) = coef K: the usual KL penalty; the threshold plays no part.

Ref: Ziegler et al. 2019, arXiv 1909.08593, eq. 2.
"""

from safelab.contracts import Context
from safelab.options import Options as BaseOptions
from safelab.parts.controller._parts import Term


class Options(BaseOptions):
    """Nothing to set: the strength is ``controller/coefficient``'s."""

    name: str


def build(options: Options, context: Context) -> "Linear":
    """The penalty; it holds no state."""
    return Linear()


class Linear:
    """Slope coef everywhere."""

    def term(self, kl: float, threshold: float, coef: float) -> Term:
        """Value coef K, slope coef."""
        return Term(value=coef * kl, slope=coef)
