"""No penalty."""

from safelab.contracts import Context
from safelab.options import Options as BaseOptions
from safelab.parts.controller._parts import Term


class Options(BaseOptions):
    """Nothing to set."""

    name: str


def build(options: Options, context: Context) -> "NoPenalty":
    """The absent penalty."""
    return NoPenalty()


class NoPenalty:
    """Value and slope 0 everywhere."""

    def term(self, kl: float, threshold: float, coef: float) -> Term:
        """Zero."""
        return Term(value=0.0, slope=0.0)
