"""A finite list of prompts as an endless one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import Field

from safelab.contracts import Context, Part, PromptSource
from safelab.corpus.fitting import readable, reader
from safelab.maths.passes import drawn_rows

NO_COLUMNS: Mapping[str, Sequence[Any]] = MappingProxyType({})


class Finite(Part):
    """A source of a list of prompts. ``seed``: of the order.

    ``skip_unfit``: prompts that policy or reward cannot read (no token, a chat template that refuses them) are left out
    and counted; without it they are refused.
    """

    skip_unfit: bool
    seed: Annotated[int, Field(ge=0)]

    def endless(
        self, prompts: Sequence[str], context: Context, others: Mapping[str, Sequence[Any]] = NO_COLUMNS
    ) -> "Epochs":
        """Each of ``prompts`` once per pass. ``others``: columns that are read, one value per prompt.

        Raises:
            DataError: one cannot be read, or none is left.
        """
        fit = self.readable_rows(range(len(prompts)), prompts, context)
        return epochs(fit, prompts, others, self.seed)

    def readable_rows(self, rows: Sequence[int], prompts: Sequence[str], context: Context) -> list[int]:
        """Those of ``rows`` whose prompt policy and reward can read.

        Raises:
            DataError: one cannot be read, or none is left.
        """
        read = reader(context)
        return readable(rows, lambda row: read(prompts[row]), "data", self.skip_unfit, context.progress)


@dataclass(frozen=True, slots=True)
class Epochs(PromptSource):
    """A list whose pass n is a permutation that depends on seed and n only. ``others``: its columns that are read."""

    texts: tuple[str, ...]
    seed: int
    others: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def prompts(self, cursor: int, count: int) -> list[str]:
        """The prompts number ``cursor`` to ``cursor + count - 1``."""
        return [self.texts[row] for row in self._rows(cursor, count)]

    def columns(self, cursor: int, count: int) -> Mapping[str, Sequence[Any]]:
        """What the data says of the same prompts besides."""
        rows = self._rows(cursor, count)
        return {name: [values[row] for row in rows] for name, values in self.others.items()}

    def _rows(self, cursor: int, count: int) -> list[int]:
        return drawn_rows(self.seed, "data", len(self.texts), cursor, count)


def epochs(rows: Sequence[int], texts: Sequence[str], others: Mapping[str, Sequence[Any]], seed: int) -> Epochs:
    """The prompts at ``rows``, endless, with their columns."""
    chosen = {name: tuple(values[row] for row in rows) for name, values in others.items()}
    return Epochs(tuple(texts[row] for row in rows), seed, chosen)
