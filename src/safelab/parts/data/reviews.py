"""Prompts of the embedded world, ``review : the red lamp .``: endless and seeded."""

import random
from typing import Annotated

from pydantic import Field

from safelab.contracts import Part, PromptSource
from safelab.maths.seeds import derive_seed
from safelab.world.grammar import sample_prompt


class Reviews(Part, PromptSource):
    """``seed``: of the sequence, each prompt of which is drawn by a generator of its own."""

    seed: Annotated[int, Field(ge=0)]

    def prompts(self, cursor: int, count: int) -> list[str]:
        """The prompts number ``cursor`` to ``cursor + count - 1``."""
        numbers = range(cursor, cursor + count)
        return [sample_prompt(random.Random(derive_seed(self.seed, "prompt", number))) for number in numbers]
