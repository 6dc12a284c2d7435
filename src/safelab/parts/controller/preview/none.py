"""No cap on the KL that one update causes."""

from safelab.contracts import Context
from safelab.options import Options as BaseOptions


class Options(BaseOptions):
    """Nothing to set."""

    name: str


def build(options: Options, context: Context) -> "NoPreview":
    """The absent cap."""
    return NoPreview()


class NoPreview:
    """No greatest KL."""

    max_kl: float | None = None
