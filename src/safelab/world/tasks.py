"""Short tasks with one right answer: ``reverse : 3 0 7 .`` wants ``7 0 3``, ``sort`` ``0 3 7``, ``next`` ``4 1 0``.

A prompt names a task and a few digits below 8; the answer has as many digits. ``next`` adds one to each, modulo 8. What
the policy is taught to write is mostly wrong: each digit of an answer is right with a known chance, else it is likelier
the prompt's own digit at that place (the habit of copying) than any. So an answer of n digits is seldom right, the
longer the seldomer, and a policy that takes the likeliest digit every time is wrong.
"""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from safelab.maths.seeds import derive_seed

DIGITS = 8
"""Kinds of digits: 0 to 7."""

PARTS = 10_000
"""Prompts are dealt into as many parts by their text, of which some are kept back."""

Digits = list[int]
Item = TypeVar("Item")

TASKS: Mapping[str, Callable[[Digits], Digits]] = {
    "reverse": lambda digits: digits[::-1],
    "sort": lambda digits: sorted(digits),
    "next": lambda digits: [(digit + 1) % DIGITS for digit in digits],
}

_PROMPT = re.compile(rf"({'|'.join(TASKS)}) :((?: [0-{DIGITS - 1}])+) \.")


def vocabulary() -> tuple[str, ...]:
    """Every word of prompts and answers, in alphabetical order."""
    return tuple(sorted([*TASKS, *map(str, range(DIGITS)), ":", "."]))


def sample_prompt(rng: random.Random, lengths: Sequence[int]) -> str:
    """A task over as many digits as one of ``lengths`` says; each task, length and digit is as likely as another."""
    task, length = _pick(rng, tuple(TASKS)), _pick(rng, lengths)
    return f"{task} : {_text([_pick(rng, range(DIGITS)) for _ in range(length)])} ."


def is_held_out(prompt: str, share: float) -> bool:
    """Whether a prompt is among the ``share`` of all that is kept back: its text says so, whatever the seed."""
    return derive_seed(0, "held_out", prompt) % PARTS < share * PARTS


def answer_to(prompt: str) -> str:
    """The one right answer.

    Raises:
        ValueError: the prompt names no task.
    """
    task, digits = _read(prompt)
    return _text(TASKS[task](digits))


def careless_answer(rng: random.Random, prompt: str, right: float, copied: float) -> str:
    """An answer of the right length, each digit of which is right with chance ``right``.

    With chance ``copied`` it is the prompt's digit at its place, else any; those may be right, too.
    """
    task, digits = _read(prompt)
    answer = []
    for own, wanted in zip(digits, TASKS[task](digits), strict=True):
        left = rng.random()
        answer.append(wanted if left < right else own if left < right + copied else _pick(rng, range(DIGITS)))
    return _text(answer)


def is_answer(prompt: str, response: str) -> bool:
    """Whether ``response`` has the form of an answer: as many digits as the prompt, right or wrong."""
    words = response.split()
    return len(words) == len(_read(prompt)[1]) and set(words) <= set(map(str, range(DIGITS)))


def _read(prompt: str) -> tuple[str, Digits]:
    """Task and digits of a prompt."""
    match = _PROMPT.fullmatch(prompt)
    if match is None:
        raise ValueError(f"not a prompt of the tasks: {prompt!r}")
    return match[1], [int(digit) for digit in match[2].split()]


def _text(digits: Digits) -> str:
    return " ".join(map(str, digits))


def _pick(rng: random.Random, items: Sequence[Item]) -> Item:
    """Python fixes the sequence of ``random()`` for good, but not that of ``choice``."""
    return items[int(rng.random() * len(items))]
