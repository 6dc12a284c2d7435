"""Prompts of the embedded world of tasks, ``reverse : 3 0 7 .``: endless and seeded, with their right answers."""

import random
from typing import Annotated, Literal

from pydantic import Field

from safelab.contracts import Part, PromptSource
from safelab.maths.seeds import derive_seed
from safelab.world.languages import language_of
from safelab.world.options import WorldOptions
from safelab.world.tasks import answer_to

PARTS = 10_000
"""Prompts are dealt into as many parts by their text, of which ``held_out`` are kept back."""


class Tasks(Part, PromptSource):
    """``world``: whose tasks. ``held_out``: share of all prompts that is kept back; ``part``: which side is drawn.

    ``seed``: of the sequence, each prompt of which is drawn by a generator of its own.
    """

    world: WorldOptions
    held_out: Annotated[float, Field(gt=0, lt=1)]
    part: Literal["train", "held_out"]
    seed: Annotated[int, Field(ge=0)]

    def prompts(self, cursor: int, count: int) -> list[str]:
        """The prompts number ``cursor`` to ``cursor + count - 1``."""
        return [self.prompt(number) for number in range(cursor, cursor + count)]

    def columns(self, cursor: int, count: int) -> dict[str, list[str]]:
        """Their right answers, under ``answer``."""
        return {"answer": [answer_to(prompt) for prompt in self.prompts(cursor, count)]}

    def prompt(self, number: int) -> str:
        """The prompt of that number: the first of its draws that is on this side."""
        language = language_of(self.world)
        rng = random.Random(derive_seed(self.seed, "prompt", number))
        while True:
            prompt = language.prompt(rng)
            if self.is_held_out(prompt) == (self.part == "held_out"):
                return prompt

    def is_held_out(self, prompt: str) -> bool:
        """Whether a prompt is kept back: its text says so, whatever the seed."""
        return derive_seed(0, "held_out", prompt) % PARTS < self.held_out * PARTS
