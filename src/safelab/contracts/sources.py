"""Where a run's texts come from: ``data`` (prompts) and ``pairs`` (preferences)."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

from safelab.contracts.columns import Reading
from safelab.errors import DataError
from safelab.foreign import shown
from safelab.types import Pair


class PromptSource(ABC):
    """``data``: an endless, seeded sequence of prompts; the cursor is all its state."""

    @abstractmethod
    def prompts(self, cursor: int, count: int) -> list[str]:
        """The prompts number ``cursor`` to ``cursor + count - 1``."""

    def columns(self, cursor: int, count: int) -> Mapping[str, Sequence[Any]]:
        """What the data says of these prompts besides, by name, one value per prompt; nothing, as here, in plain text.

        A value is what JSON holds: text, a number, a truth value, None, and lists and objects of them.
        """
        return {}

    def asked(self, prompt: str, number: int) -> str:
        """What the policy reads of prompt ``number``; reward and evaluator judge by ``prompt``, which it is here."""
        return prompt


class PairSource(ABC):
    """``pairs``: an endless, seeded sequence of preferences to learn from; offline runs only.

    ``batch_size``: pairs per update. ``evaluate_every``: updates between those in which the policy writes, to be
    measured. ``max_response_tokens``: longer answers lose their end, None for no bound.
    """

    batch_size: int
    evaluate_every: int
    max_response_tokens: int | None

    @abstractmethod
    def pairs(self, cursor: int, count: int) -> list[Pair]:
        """The pairs number ``cursor`` to ``cursor + count - 1``."""

    @property
    def size(self) -> int | None:
        """How many different pairs there are: the first so many drawn. None where that is not known, as here."""
        return None

    def numbers(self, cursor: int, count: int) -> list[int]:
        """Which of its ``size`` pairs the same are, from 0; asked of a source that knows its size."""
        raise NotImplementedError(f"{type(self).__name__} does not number its pairs")


def drawn_prompts(source: PromptSource, cursor: int, count: int) -> list[str]:
    """``source.prompts``, checked.

    Raises:
        DataError: a source of the user's own gives something else than ``count`` texts that are not blank.
    """
    return _checked("prompts", "texts", source.prompts(cursor, count), count, _no_prompt)


def asked_of(source: PromptSource, prompts: Sequence[str], numbers: Sequence[int]) -> list[str]:
    """``source.asked`` of each prompt, checked.

    Raises:
        DataError: a source of the user's own gives something else than texts that are not blank.
    """
    if not hasattr(source, "asked"):  # it may be any object with ``prompts``
        return list(prompts)
    found = [source.asked(prompt, number) for prompt, number in zip(prompts, numbers, strict=True)]
    return _checked("prompts", "texts of asked", found, len(prompts), _no_prompt)


def drawn_columns(source: PromptSource, reading: Reading, cursor: int, count: int) -> dict[str, tuple[Any, ...]]:
    """Of ``source.columns`` what is read, checked, as a checkpoint would give it back.

    Raises:
        DataError: one that must be there is not, has another length, or holds something that JSON does not.
    """
    if not reading:
        return {}
    # A source of the user's own may be any object with ``prompts``.
    found = source.columns(cursor, count) if hasattr(source, "columns") else {}
    if not isinstance(found, Mapping):
        raise DataError(f"data: columns must return one list for each column's name, got {shown(found)}")
    if lacking := sorted(reading.must - found.keys()):
        held = f"it has: {', '.join(map(str, found))}" if found else "it has no column beside the prompts"
        raise DataError(
            f"data must have the column {lacking[0]!r}, which reward or evaluator reads as its argument of that name; "
            f"{held}"
        )
    return {name: _column(name, found[name], count) for name in reading.of(found)}


def _column(name: str, values: Any, count: int) -> tuple[Any, ...]:
    must = f"data: columns must return {count} values of {name!r}, got"
    if isinstance(values, str | bytes | Mapping | Set) or not hasattr(values, "__len__"):
        raise DataError(f"{must} {shown(values)}; return a list")
    if len(values) != count:
        raise DataError(f"{must} {len(values)}; return as many as there are prompts")
    try:
        return tuple(json.loads(json.dumps(list(values))))
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(
            f"data: the column {name!r} must hold what JSON holds (text, numbers, lists and objects of them): {error}; "
            "leave it out, by naming in the signature of reward or evaluator the columns that are read"
        ) from error


def drawn_pairs(source: PairSource, cursor: int, count: int) -> list[Pair]:
    """``source.pairs``, checked.

    Raises:
        DataError: a source of the user's own gives something else than ``count`` pairs of texts.
    """
    return _checked("pairs", "pairs", source.pairs(cursor, count), count, _no_pair)


def _checked(method: str, kind: str, found: Any, count: int, fault: Callable[[Any], str | None]) -> list[Any]:
    """What a source's method returned, as a list of ``count``.

    Args:
        method: of the source, which is its group's name too.
        kind: of what it must return, for the message.
        found: what it returned.
        count: how many were asked for.
        fault: what is wrong with one item, None if nothing.
    """
    must = f"{'data' if method == 'prompts' else 'pairs'}: {method} must return {count} {kind}, got"
    if isinstance(found, str | bytes | Mapping | Set) or not hasattr(found, "__len__"):
        raise DataError(f"{must} {found!r:.60} of type {type(found).__name__}; return a list")
    if len(found) != count:
        raise DataError(f"{must} {len(found)}; return as many as are asked for, as often as need be the same")
    for number, item in enumerate(found):
        if said := fault(item):
            raise DataError(f"{must} {said} at place {number} of the list")
    return list(found)


def _no_prompt(prompt: Any) -> str | None:
    if said := _no_text(prompt):
        return said
    return None if prompt.strip() else f"the blank text {prompt!r:.60}"


def _no_pair(pair: Any) -> str | None:
    if not isinstance(pair, Pair):
        return f"{pair!r:.60} of type {type(pair).__name__}, no safelab.types.Pair"
    if said := _no_prompt(pair.prompt):
        return f"a pair with {said} as prompt"
    texts = {"chosen": pair.chosen, "rejected": pair.rejected}
    faults = (f"a pair with {said} as {name}" for name, text in texts.items() if (said := _no_text(text)))
    return next(faults, None)


def _no_text(text: Any) -> str | None:
    if not isinstance(text, str):
        return f"{text!r:.60} of type {type(text).__name__}"
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"the text {text!r:.60} with half a character in it (a lone surrogate)"
    return None
