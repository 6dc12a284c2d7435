"""What a world's policy writes: the words, prompts, texts to learn from, and who judges. One language per world."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from safelab.world.gold import gold_score
from safelab.world.grammar import is_review, sample_review, vocabulary
from safelab.world.grammar import sample_prompt as product_prompt
from safelab.world.options import TaskOptions, WorldOptions
from safelab.world.tasks import answer_to, careless_answer, is_answer, is_held_out
from safelab.world.tasks import sample_prompt as task_prompt
from safelab.world.tasks import vocabulary as task_words

Text = tuple[str, str]
"""A prompt and a response, words parted by one space."""


class Language(Protocol):
    """All that the makers of a world's models know of what is written in it."""

    def words(self) -> tuple[str, ...]:
        """Every word of prompts and responses, in alphabetical order."""

    def prompt(self, rng: random.Random) -> str:
        """Any prompt."""

    def text(self, rng: random.Random) -> Text:
        """A text as the policy is to write it in the end."""

    def texts(self, rng: random.Random, count: int) -> Iterator[Text]:
        """Endless texts to learn from, of which the first ``count`` are learnt."""

    def is_whole(self, prompt: str, response: str) -> bool:
        """Whether the response has the form of one."""

    def judge(self, prompt: str, response: str, ended: bool) -> float:
        """The gold score."""


@dataclass(frozen=True, slots=True)
class Reviews(Language):
    """Product reviews, judged by how kind, apt and well formed they are; see ``grammar`` and ``gold``."""

    def words(self) -> tuple[str, ...]:
        """Of all reviews."""
        return vocabulary()

    def prompt(self, rng: random.Random) -> str:
        """A product in a colour."""
        return product_prompt(rng)

    def text(self, rng: random.Random) -> Text:
        """A review with its prompt."""
        return sample_review(rng)

    def texts(self, rng: random.Random, count: int) -> Iterator[Text]:
        """Reviews, of one kind from first to last."""
        while True:
            yield self.text(rng)

    def is_whole(self, prompt: str, response: str) -> bool:
        """Whether the grammar can answer ``prompt`` so."""
        return is_review(prompt, response)

    def judge(self, prompt: str, response: str, ended: bool) -> float:
        """See ``gold``."""
        return gold_score(prompt, response, ended)


@dataclass(frozen=True, slots=True)
class Tasks(Language):
    """Short tasks with one right answer, judged by whether it is given; see ``tasks``."""

    options: TaskOptions

    def words(self) -> tuple[str, ...]:
        """Tasks and digits."""
        return task_words()

    def prompt(self, rng: random.Random, held_out: bool = False) -> str:
        """A task over a few digits: the first that is drawn of those that are kept back, or of the others."""
        lengths = range(self.options.shortest, self.options.longest + 1)
        while True:
            prompt = task_prompt(rng, lengths)
            if is_held_out(prompt, self.options.held_out) == held_out:
                return prompt

    def text(self, rng: random.Random) -> Text:
        """A prompt and a careless answer."""
        prompt = self.prompt(rng)
        return prompt, careless_answer(rng, prompt, self.options.right_share, self.options.copied_share)

    def texts(self, rng: random.Random, count: int) -> Iterator[Text]:
        """Right answers first, so that the tasks are known, then careless ones; see ``TaskOptions``."""
        for _ in range(round(self.options.taught_share * count)):
            prompt = self.prompt(rng)
            yield prompt, answer_to(prompt)
        while True:
            yield self.text(rng)

    def is_whole(self, prompt: str, response: str) -> bool:
        """Whether it is as many digits as there are in the prompt, right or wrong."""
        return is_answer(prompt, response)

    def judge(self, prompt: str, response: str, ended: bool) -> float:
        """1 for the right answer with its end token, else 0."""
        return float(ended and response == answer_to(prompt))


def language_of(world: WorldOptions) -> Language:
    """The tasks where a world has any, else reviews."""
    return Reviews() if world.tasks is None else Tasks(world.tasks)
