"""Running normalisation, mended: unbiased, and a batch is measured on the scale of those before it."""

from pydantic import Field

from safelab.contracts import Context
from safelab.maths.normalise import running_init, running_step
from safelab.options import Options as BaseOptions
from safelab.parts.shaping.normaliser._running import Running


class Options(BaseOptions):
    """``eps``: keeps the divisor from 0; see ``maths.normalise.running_step``."""

    name: str
    eps: float = Field(gt=0)


def build(options: Options, context: Context) -> Running:
    """A ``Normaliser`` over ``maths.normalise.running_step``."""
    return Running(start=running_init(), advance=running_step, eps=options.eps)
