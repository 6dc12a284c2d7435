"""What every source of pairs has: how many are taken and when is measured, and a list of pairs as an endless one."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from safelab.maths.passes import drawn_rows
from safelab.options import Options as BaseOptions
from safelab.types import Pair


class PairOptions(BaseOptions):
    """``batch_size``: pairs per update. ``evaluate_every``: updates between measurements of what the policy writes.

    ``max_response_tokens``: longer answers lose their end, null for no bound. ``seed``: of the order.
    """

    name: str
    batch_size: Annotated[int, Field(ge=1)]
    evaluate_every: Annotated[int, Field(ge=1)]
    max_response_tokens: Annotated[int, Field(ge=1)] | None
    seed: Annotated[int, Field(ge=0)]


class DrawnPairs:
    """``contracts.PairSource`` over a list: pass n is a permutation that depends on seed and n only."""

    def __init__(self, pairs: Sequence[Pair], options: PairOptions) -> None:
        self.batch_size = options.batch_size
        self.evaluate_every = options.evaluate_every
        self.max_response_tokens = options.max_response_tokens
        self._pairs = tuple(pairs)
        self._seed = options.seed

    def pairs(self, cursor: int, count: int) -> list[Pair]:
        """The pairs number ``cursor`` to ``cursor + count - 1``."""
        return [self._pairs[row] for row in drawn_rows(self._seed, "pairs", len(self._pairs), cursor, count)]
