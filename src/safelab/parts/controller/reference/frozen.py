"""The policy as it was at the start, for the whole run."""

from safelab.contracts import Reference


class Frozen(Reference):
    """It never moves."""
