"""No cap on the KL that one update causes."""

from safelab.contracts import Preview


class NoPreview(Preview):
    """Any KL is let through."""

    def limit(self) -> None:
        """None."""
