"""No pairs: the run is online, and learns from what its policy writes."""

from safelab.contracts import Context, Part


class NoPairs(Part):
    """Nothing to set."""

    def build(self, context: Context) -> None:
        """Nothing."""
        return
