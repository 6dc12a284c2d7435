"""The data's other columns (an answer, a label): which of them a part reads, and what it is given of them.

A part that scores says so by its signature: every argument beyond its own is a column, by its name. One without a
default has to be there, one with a default is given where it is there, and ``**columns`` takes every one.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

OWN_NAMES = frozenset({"prompt", "prompts", "responses", "completions", "ended"})
"""What a scoring part is given under these names is the rollout's; a column that is called so is not handed on."""

PLACES = 3
"""Arguments that ``score`` is called with by place: prompts, responses, ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Columns that a part reads: ``must`` be there, ``may`` be there; ``every``: all that there are."""

    must: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()
    every: bool = False

    def __or__(self, other: "Reading") -> "Reading":
        return Reading(must=self.must | other.must, may=self.may | other.may, every=self.every or other.every)

    def __bool__(self) -> bool:
        return bool(self.must or self.may or self.every)

    def of(self, held: Iterable[str]) -> list[str]:
        """Which of the columns that are there are read."""
        named = self.must | self.may
        return [name for name in held if (self.every or name in named) and name not in OWN_NAMES]


def reading_of(part: Any) -> Reading:
    """What a reward or an evaluator reads: as its ``reading`` says, else as the signature of its ``score`` does."""
    if callable(told := getattr(part, "reading", None)):
        found: Reading = told()
        return found
    score = getattr(part, "score", None)
    return Reading() if score is None else reading_in(score)


def reading_in(score: Callable[..., Any]) -> Reading:
    """The columns in the signature of a ``score``, behind what it is given by place."""
    try:
        parameters = list(inspect.signature(score).parameters.values())
    except (TypeError, ValueError):  # written in C: it says nothing of what it takes
        return Reading()
    by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    taken = [parameter for parameter in parameters if parameter.kind in by_place][:PLACES]
    return named_columns([parameter for parameter in parameters if parameter not in taken])


def named_columns(parameters: Sequence[inspect.Parameter]) -> Reading:
    """The columns that these arguments name."""
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    named = {p.name: p.default is inspect.Parameter.empty for p in parameters if p.kind in by_name}
    return Reading(
        must=frozenset(name for name, required in named.items() if required),
        may=frozenset(name for name, required in named.items() if not required),
        every=any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters),
    )


def given(part: Any, columns: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """The columns that ``part`` reads, as copies of its own."""
    return {name: deepcopy(list(columns[name])) for name in reading_of(part).of(columns)}
