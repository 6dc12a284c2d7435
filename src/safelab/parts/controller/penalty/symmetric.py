"""P(K) = coef (K - tau)^2: pulls the KL to the threshold from both sides."""

from safelab.contracts import Context
from safelab.options import Options as BaseOptions
from safelab.parts.controller._parts import Term


class Options(BaseOptions):
    """Nothing to set: the strength is ``controller/coefficient``'s."""

    name: str


def build(options: Options, context: Context) -> "Symmetric":
    """The penalty; it holds no state."""
    return Symmetric()


class Symmetric:
    """Negative slope below the threshold, positive above."""

    def term(self, kl: float, threshold: float, coef: float) -> Term:
        """Value coef (K - tau)^2, slope 2 coef (K - tau)."""
        excess = kl - threshold
        return Term(value=coef * excess**2, slope=2 * coef * excess)
