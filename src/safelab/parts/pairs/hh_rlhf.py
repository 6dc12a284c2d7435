"""Pairs of HH-RLHF, from a local file in its own format or from the hub; the prompt is the whole dialogue."""

from typing import Annotated, Literal

from pydantic import Field

from safelab.contracts import Context, PairSource
from safelab.corpus.hh import agreeing, locate, read_dialogues
from safelab.errors import DataError
from safelab.options import PathOrHub
from safelab.parts.pairs._drawn import FromFile


class HhRlhf(FromFile):
    """``path``: a file, or the data set's name on the hub with its ``subset`` and ``split``.

    ``limit``: only the first records, null for all. ``held_out``: of these the last ones are not learnt from.
    """

    path: PathOrHub
    subset: str
    split: Literal["train", "test"]
    limit: Annotated[int, Field(ge=1)] | None
    held_out: Annotated[int, Field(ge=0)]

    def build(self, context: Context) -> PairSource:
        """The pairs, each once per pass.

        Raises:
            DataError: no such file or data set, or nothing is left to draw.
        """
        file = locate(self.path, self.subset, self.split, "pairs.path")
        records = read_dialogues(file, "pairs.path")[: self.limit]
        kept = records[: max(0, len(records) - self.held_out)]
        if not kept:
            raise DataError(
                f"pairs must leave some to learn from, got {len(records)} records with pairs.held_out={self.held_out}; "
                "lower it, or raise pairs.limit"
            )
        return self.readable(agreeing(kept, "pairs.path", context.progress), context)
