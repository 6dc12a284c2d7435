"""P(K) = coef (K - tau)^2: pulls the KL to the threshold from both sides."""

from safelab.contracts import Penalty, Term


class Symmetric(Penalty):
    """Negative slope below the threshold, positive above. The strength is ``controller/coefficient``'s."""

    def term(self, kl: float, threshold: float, coef: float) -> Term:
        """Value coef (K - tau)^2, slope 2 coef (K - tau)."""
        excess = kl - threshold
        return Term(value=coef * excess**2, slope=2 * coef * excess)
