"""No loss on pairs: the run is online."""

from safelab.contracts import Context, Part


class NoPreference(Part):
    """Nothing to set."""

    def build(self, context: Context) -> None:
        """Nothing: the run has no loss on pairs."""
        return
