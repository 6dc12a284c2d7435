"""Prompts of the embedded world, ``review : the red lamp .``: endless and seeded."""

import random
from typing import Annotated

from pydantic import Field

from safelab.contracts import Context
from safelab.maths.seeds import derive_seed
from safelab.options import Options as BaseOptions
from safelab.world.grammar import sample_prompt


class Options(BaseOptions):
    """``seed``: of the sequence."""

    name: str
    seed: Annotated[int, Field(ge=0)]


def build(options: Options, context: Context) -> "Reviews":
    """The sequence; it holds no state."""
    return Reviews(options.seed)


class Reviews:
    """``contracts.PromptSource``: each prompt is drawn by a generator of its own."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def prompts(self, cursor: int, count: int) -> list[str]:
        """The prompts number ``cursor`` to ``cursor + count - 1``."""
        numbers = range(cursor, cursor + count)
        return [sample_prompt(random.Random(derive_seed(self._seed, "prompt", number))) for number in numbers]
