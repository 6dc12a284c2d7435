"""Pairs of HH-RLHF, from a local file in its own format or from the hub; the prompt is the whole dialogue."""

from typing import Annotated, Literal

from pydantic import Field

from safelab.contracts import Context
from safelab.corpus.hh import locate, read_pairs
from safelab.errors import DataError
from safelab.parts.pairs._drawn import DrawnPairs, PairOptions


class Options(PairOptions):
    """``path``: a file, or the data set's name on the hub with its ``subset`` and ``split``.

    ``limit``: only the first records, null for all. ``held_out``: of these the last ones are not learnt from.
    """

    path: str
    subset: str
    split: Literal["train", "test"]
    limit: Annotated[int, Field(ge=1)] | None
    held_out: Annotated[int, Field(ge=0)]


def build(options: Options, context: Context) -> DrawnPairs:
    """The pairs, each once per pass.

    Raises:
        DataError: no such file or data set, or nothing is left to draw.
    """
    file = locate(options.path, options.subset, options.split, "pairs.path")
    pairs = read_pairs(file, "pairs.path")[: options.limit]
    kept = pairs[: max(0, len(pairs) - options.held_out)]
    if not kept:
        raise DataError(
            f"pairs must leave some to learn from, got {len(pairs)} records with pairs.held_out={options.held_out}; "
            "lower it, or raise pairs.limit"
        )
    return DrawnPairs(kept, options)
