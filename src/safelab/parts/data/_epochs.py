"""A finite list of prompts as an endless one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from safelab.contracts import Context, Part, PromptSource
from safelab.corpus.fitting import readable, reader
from safelab.maths.passes import drawn_rows


class Finite(Part):
    """A source of a list of prompts. ``seed``: of the order.

    ``skip_unfit``: prompts that policy or reward cannot read (no token, a chat template that refuses them) are left out
    and counted; without it they are refused.
    """

    skip_unfit: bool
    seed: Annotated[int, Field(ge=0)]

    def endless(self, prompts: Sequence[str], context: Context) -> "Epochs":
        """Each of ``prompts`` once per pass.

        Raises:
            DataError: one cannot be read, or none is left.
        """
        fit = readable(prompts, reader(context), "data", self.skip_unfit, context.progress)
        return Epochs(tuple(fit), self.seed)


@dataclass(frozen=True, slots=True)
class Epochs(PromptSource):
    """A list whose pass n is a permutation that depends on seed and n only."""

    texts: tuple[str, ...]
    seed: int

    def prompts(self, cursor: int, count: int) -> list[str]:
        """The prompts number ``cursor`` to ``cursor + count - 1``."""
        return [self.texts[row] for row in drawn_rows(self.seed, "data", len(self.texts), cursor, count)]
