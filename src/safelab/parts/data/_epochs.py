"""A finite list of prompts as an endless one."""

from collections.abc import Sequence

from safelab.maths.passes import drawn_rows


class Epochs:
    """``contracts.PromptSource`` over a list: pass n is a permutation that depends on seed and n only."""

    def __init__(self, texts: Sequence[str], seed: int) -> None:
        self.texts = tuple(texts)
        self._seed = seed

    def prompts(self, cursor: int, count: int) -> list[str]:
        """The prompts number ``cursor`` to ``cursor + count - 1``."""
        return [self.texts[row] for row in drawn_rows(self._seed, "data", len(self.texts), cursor, count)]
