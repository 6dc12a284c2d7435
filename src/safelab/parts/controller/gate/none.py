"""No gate."""

from safelab.contracts import Empty, Forgetful, Gate


class NoGate(Forgetful, Gate[Empty]):
    """The penalty stays as it is."""

    def factor(self, state: Empty) -> float:
        """One."""
        return 1.0
