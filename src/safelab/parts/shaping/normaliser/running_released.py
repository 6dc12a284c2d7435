"""Running normalisation as SAFE's released code has it: updated before use, batch variance overweighted."""

from pydantic import Field

from safelab.contracts import Context
from safelab.maths.normalise import released_init, released_step
from safelab.options import Options as BaseOptions
from safelab.parts.shaping.normaliser._running import Running


class Options(BaseOptions):
    """``eps``: keeps the divisor from 0; see ``maths.normalise.released_step``."""

    name: str
    eps: float = Field(gt=0)


def build(options: Options, context: Context) -> Running:
    """A ``Normaliser`` over ``maths.normalise.released_step``."""
    return Running(start=released_init(), advance=released_step, eps=options.eps)
