"""No penalty on growing KL."""

from safelab.contracts import Empty, Forgetful, Momentum, Term


class NoMomentum(Forgetful, Momentum[Empty]):
    """Growth costs nothing."""

    def speed(self, state: Empty) -> float:
        """Zero."""
        return 0.0

    def term(self, state: Empty) -> Term:
        """Zero."""
        return Term(value=0.0, slope=0.0)
