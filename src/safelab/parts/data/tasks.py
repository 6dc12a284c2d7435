"""Prompts of the embedded world of tasks, ``reverse : 3 0 7 .``: endless and seeded, with their right answers."""

import random
from typing import Annotated, Literal

from pydantic import Field

from safelab.contracts import Context, Part, PromptSource
from safelab.errors import ConfigError
from safelab.maths.seeds import derive_seed
from safelab.world import languages
from safelab.world.options import WorldOptions
from safelab.world.tasks import answer_to


class Tasks(Part, PromptSource):
    """``world``: whose tasks. ``part``: those that its models were made from, or those that were kept back.

    ``seed``: of the sequence, each prompt of which is drawn by a generator of its own.
    """

    world: WorldOptions
    part: Literal["train", "held_out"]
    seed: Annotated[int, Field(ge=0)]

    def build(self, context: Context) -> PromptSource:
        """Itself.

        Raises:
            ConfigError: the world has no tasks.
        """
        if self.world.tasks is None:
            raise ConfigError("data.world must have tasks, got a world of reviews: add world=exact")
        return self

    def prompts(self, cursor: int, count: int) -> list[str]:
        """The prompts number ``cursor`` to ``cursor + count - 1``."""
        assert self.world.tasks is not None
        language = languages.Tasks(self.world.tasks)
        draws = [random.Random(derive_seed(self.seed, "prompt", number)) for number in range(cursor, cursor + count)]
        return [language.prompt(draw, held_out=self.part == "held_out") for draw in draws]

    def columns(self, cursor: int, count: int) -> dict[str, list[str]]:
        """Their right answers, under ``answer``."""
        return {"answer": [answer_to(prompt) for prompt in self.prompts(cursor, count)]}
