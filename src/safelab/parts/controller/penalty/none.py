"""No penalty."""

from safelab.contracts import Penalty, Term


class NoPenalty(Penalty):
    """Value and slope 0 everywhere."""

    def term(self, kl: float, threshold: float, coef: float) -> Term:
        """Zero."""
        return Term(value=0.0, slope=0.0)
