"""Prompts of HH-RLHF, from a local file in its own format or from the hub."""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from safelab.contracts import Context
from safelab.corpus.hh import first_turn, last_turn, locate, read_pairs
from safelab.options import Options as BaseOptions
from safelab.parts.data._epochs import Epochs
from safelab.parts.data._sides import Part, drawn
from safelab.types import Pair

CUTS: dict[str, Callable[[Pair], str]] = {"first_turn": first_turn, "last_turn": last_turn}


class Options(BaseOptions):
    """``path``: a file, or the data set's name on the hub with its ``subset`` and ``split``.

    ``cut``: where a prompt ends, see ``corpus.hh``. ``limit``: only the first records, null for all. ``held_out``: of
    these the last ones are kept back; ``part`` says which of the two sides is drawn. ``max_tokens``: prompts with more
    of the policy's tokens are left out and counted, null for none. ``seed``: of the order.
    """

    name: str
    path: str
    subset: str
    split: Literal["train", "test"]
    cut: Literal["first_turn", "last_turn"]
    limit: Annotated[int, Field(ge=1)] | None
    held_out: Annotated[int, Field(ge=0)]
    part: Part
    max_tokens: Annotated[int, Field(ge=1)] | None
    seed: Annotated[int, Field(ge=0)]


def build(options: Options, context: Context) -> Epochs:
    """The prompts, each once per pass.

    Raises:
        DataError: no such file or data set, or nothing is left to draw.
    """
    pairs = read_pairs(locate(options.path, options.subset, options.split))[: options.limit]
    texts = [CUTS[options.cut](pair) for pair in pairs]
    return drawn(texts, options.held_out, options.part, options.max_tokens, options.seed, context)
