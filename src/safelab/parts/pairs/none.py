"""No pairs: the run is online, and learns from what its policy writes."""

from safelab.contracts import Context
from safelab.options import Options as BaseOptions


class Options(BaseOptions):
    """Nothing to set."""

    name: str


def build(options: Options, context: Context) -> None:
    """Nothing."""
    return
