"""A finite list of prompts as an endless one."""

from dataclasses import dataclass

from safelab.contracts import PromptSource
from safelab.maths.passes import drawn_rows


@dataclass(frozen=True, slots=True)
class Epochs(PromptSource):
    """A list whose pass n is a permutation that depends on seed and n only."""

    texts: tuple[str, ...]
    seed: int

    def prompts(self, cursor: int, count: int) -> list[str]:
        """The prompts number ``cursor`` to ``cursor + count - 1``."""
        return [self.texts[row] for row in drawn_rows(self.seed, "data", len(self.texts), cursor, count)]
