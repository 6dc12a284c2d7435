"""A finite list of prompts as an endless one: shuffled anew in each pass, without state."""

from collections.abc import Sequence
from functools import lru_cache

from safelab.maths.seeds import numpy_generator


class Epochs:
    """``contracts.PromptSource`` over a list: pass n is a permutation that depends on seed and n only."""

    def __init__(self, texts: Sequence[str], seed: int) -> None:
        self.texts = tuple(texts)
        self._seed = seed
        self._order = lru_cache(maxsize=2)(self._permutation)

    def prompts(self, cursor: int, count: int) -> list[str]:
        """The prompts number ``cursor`` to ``cursor + count - 1``."""
        size = len(self.texts)
        return [self.texts[self._order(number // size)[number % size]] for number in range(cursor, cursor + count)]

    def _permutation(self, epoch: int) -> list[int]:
        order: list[int] = numpy_generator(self._seed, "data", epoch).permutation(len(self.texts)).tolist()
        return order
