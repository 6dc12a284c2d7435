"""How a reward function is called: decided by its signature, before anything is made.

    f(prompts, responses)              by place, whatever the two are called
    f(prompts, completions, answer)    by name, where it has ``responses`` or ``completions``
    f(completions, **kwargs)           as TRL calls it: prompts, completions, and every column of the data

``ended`` is given by name, too. Every other argument has its value from ``reward.options``, or is a column of the data;
without a default it has to be there. Texts are plain: TRL's conversations (lists of messages) are not made here.
"""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safelab.contracts import Reading, named_columns
from safelab.errors import nearest

LISTS = ("prompts", "responses", "completions", "ended")
"""What a rollout gives by name; ``responses`` and ``completions`` are the same."""

OF_TRL = frozenset({"completion_ids", "trainer_state", "log_extra", "log_metric", "environments"})
"""Arguments that TRL gives and that there are none of here."""

Parameters = list[inspect.Parameter]


@dataclass(frozen=True, slots=True)
class Call:
    """``by_place``: whether prompts and responses come first, by place. ``names``: of ``LISTS``, given by name.

    ``reading``: the columns of the data, given by name.
    """

    by_place: bool
    names: tuple[str, ...]
    reading: Reading

    def arguments(
        self, lists: Mapping[str, Sequence[Any]], columns: Mapping[str, Sequence[Any]]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Arguments by place and by name; lists of its own, whatever the function does with them."""
        places = [list(lists["prompts"]), list(lists["responses"])] if self.by_place else []
        return places, {**{name: list(lists[name]) for name in self.names}, **columns}


BY_PLACE = Call(True, (), Reading())
"""``f(prompts, responses)``."""


def call_of(function: Any, name: str, options: Iterable[str]) -> Call:
    """How ``function`` is to be called.

    Args:
        function: whatever ``name`` names.
        name: ``module:function``, for messages.
        options: names of the arguments that ``reward.options`` gives.

    Raises:
        ValueError: it cannot be called so; the message goes on from ``reward.name``.
    """
    if not callable(function):
        raise ValueError(f"must name a function, got {name}: {type(function).__name__}")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise ValueError(f"must name a function that is not async, got {name}: call asyncio.run inside it")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # written in C: it says nothing of what it takes
        return BY_PLACE
    parameters = list(signature.parameters.values())
    named = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    every = any(p.kind is p.VAR_KEYWORD for p in parameters)
    placed = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if {"responses", "completions"} & named or (every and not placed):
        by_place, rest = False, parameters
    else:
        by_place, rest = True, _behind_two(parameters, placed, f"{name}{signature}")
    left = [p for p in rest if p.kind is p.VAR_KEYWORD or (p.name in named and p.name not in {*LISTS, *options})]
    reading = named_columns(left)
    if here_not := sorted(reading.must & OF_TRL):
        raise ValueError(f"must name a function that needs nothing of TRL's trainer, got {name}, which takes "
                         f"{', '.join(here_not)}: give that argument a default")  # fmt: skip
    taken = {p.name for p in rest if p.name in named} - {*LISTS}
    if not every and (unknown := [option for option in options if option not in taken]):
        raise ValueError(f"must name arguments of {name}, got {unknown[0]!r}: "
                         f"{nearest(unknown[0], taken) if taken else 'it has none besides'}")  # fmt: skip
    return Call(by_place, _lists_of(rest, named, every, by_place), reading)


def _behind_two(parameters: Parameters, placed: Parameters, shown: str) -> Parameters:
    """The parameters that are left once prompts and responses are given by place."""
    first = placed[:2]
    enough = len(first) == 2 or any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if not enough or any(p.name in LISTS and LISTS.index(p.name) != place for place, p in enumerate(first)):
        raise ValueError(
            f"must name a function that takes prompts and responses, got {shown}: "
            "write f(prompts, responses), or f(completions, **kwargs) as in TRL"
        )
    return [p for p in parameters if p not in first]


def _lists_of(rest: Parameters, named: set[str], every: bool, by_place: bool) -> tuple[str, ...]:
    asked = [p.name for p in rest if p.name in LISTS and p.name in named]
    if every and not by_place:  # as TRL does
        asked += [] if {"responses", "completions"} & {*asked} else ["completions"]
        asked += [] if "prompts" in asked else ["prompts"]
    return tuple(asked)
