"""What every source of pairs has: how many are taken and when is measured, and a list of pairs as an endless one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from safelab.contracts import Context, PairSource, Part
from safelab.corpus.fitting import readable, reader
from safelab.maths.passes import drawn_rows
from safelab.types import Pair


class Drawn(Part):
    """``batch_size``: pairs per update. ``evaluate_every``: updates between measurements of what the policy writes.

    ``max_response_tokens``: longer answers lose their end, null for no bound. ``seed``: of the order.
    """

    batch_size: Annotated[int, Field(ge=1)]
    evaluate_every: Annotated[int, Field(ge=1)]
    max_response_tokens: Annotated[int, Field(ge=1)] | None
    seed: Annotated[int, Field(ge=0)]

    def drawn(self, pairs: Iterable[Pair]) -> PairSource:
        """Each of ``pairs`` once per pass."""
        return DrawnPairs(
            batch_size=self.batch_size,
            evaluate_every=self.evaluate_every,
            max_response_tokens=self.max_response_tokens,
            items=tuple(pairs),
            seed=self.seed,
        )


class FromFile(Drawn):
    """``skip_unfit``: pairs whose prompt the policy or the reward cannot read are left out and counted, not refused."""

    skip_unfit: bool

    def readable(self, pairs: Sequence[Pair], context: Context) -> PairSource:
        """Each of ``pairs`` whose prompt can be read once per pass.

        Raises:
            DataError: one cannot be read, or none is left.
        """
        read = reader(context)
        return self.drawn(readable(pairs, lambda pair: read(pair.prompt), "pairs", self.skip_unfit, context.progress))


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnPairs(PairSource):
    """A list whose pass n is a permutation that depends on seed and n only."""

    batch_size: int
    evaluate_every: int
    max_response_tokens: int | None
    items: tuple[Pair, ...]
    seed: int

    def pairs(self, cursor: int, count: int) -> list[Pair]:
        """The pairs number ``cursor`` to ``cursor + count - 1``."""
        return [self.items[row] for row in self.numbers(cursor, count)]

    @property
    def size(self) -> int:
        """Of the list."""
        return len(self.items)

    def numbers(self, cursor: int, count: int) -> list[int]:
        """Their places in the list."""
        return drawn_rows(self.seed, "pairs", len(self.items), cursor, count)
