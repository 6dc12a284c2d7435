"""A user's own function as reward: ``reward.name=package.module:function``.

It is called as ``f(prompts, responses)``, or by the names that it has: ``prompts``, ``responses``, ``completions``.
So a reward of TRL's form, ``f(completions, **kwargs)`` or ``f(prompts, completions, **kwargs)``, serves as it is.
"""

import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import field_validator

from safelab.contracts import Context, Part, Reward, checked_scores
from safelab.errors import RunFailed
from safelab.foreign import calling
from safelab.plugins import resolve

RETRIES = 2
"""Further calls after an OSError: connections, time-outs and files are its kinds, and those of most HTTP libraries."""

PAUSE_S = 1.0
"""Before the first of them; doubles."""

PLACES = {"prompts": 0, "responses": 1, "completions": 1}
"""Names that say what is meant, with the place of the same in ``f(prompts, responses)``."""


class Function(Part):
    """``name``: where the function is, found from the current folder or PYTHONPATH."""

    @field_validator("name")
    @classmethod
    def _can_be_called(cls, name: str) -> str:
        keywords_of(resolve(name, "reward.name"), name)
        return name

    def build(self, context: Context) -> Reward:
        """The function, imported."""
        function = resolve(self.name, "reward.name")
        return FunctionReward(self.name, function, keywords_of(function, self.name))


@dataclass(frozen=True, slots=True)
class FunctionReward(Reward):
    """What the function returns is checked, and what it raises is told with its name.

    ``keywords``: the names by which it is called; None: ``f(prompts, responses)``.
    """

    name: str
    function: Callable[..., Any]
    keywords: tuple[str, ...] | None = None

    def score(self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool]) -> list[float]:
        """One finite number per response; asked again where files or connections failed it, which may pass.

        Raises:
            RunFailed: the function raised, or returned something else.
        """
        for attempt in range(RETRIES + 1):
            try:
                with calling(f"reward {self.name}", RunFailed):
                    return checked_scores(f"reward {self.name}", self._called(prompts, responses), prompts)
            except RunFailed as error:
                if not isinstance(error.__cause__, OSError):
                    raise
                if attempt == RETRIES:
                    raise RunFailed(f"{error} (in {attempt + 1} tries)") from error.__cause__
            time.sleep(PAUSE_S * 2**attempt)
        raise AssertionError("a loop of at least one try returns or raises")

    def _called(self, prompts: Sequence[str], responses: Sequence[str]) -> Any:
        lists = list(prompts), list(responses)  # its own copies, whatever it does with them
        if self.keywords is None:
            return self.function(*lists)
        return self.function(**{name: lists[PLACES[name]] for name in self.keywords})


def keywords_of(function: Any, name: str) -> tuple[str, ...] | None:
    """The names by which ``function`` is to be called; None: by place, as ``f(prompts, responses)``.

    Raises:
        ValueError: it cannot be called with prompts and responses; the message goes on from ``reward.name``.
    """
    if not callable(function):
        raise ValueError(f"must name a function, got {name}: {type(function).__name__}")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise ValueError(f"must name a function that is not async, got {name}: call asyncio.run inside it")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # written in C: it says nothing of what it takes
        return None
    kinds = {parameter.name: parameter.kind for parameter in signature.parameters.values()}
    named = [key for key, kind in kinds.items() if key in PLACES and kind is not inspect.Parameter.POSITIONAL_ONLY]
    if inspect.Parameter.VAR_KEYWORD in kinds.values():
        named += [] if {"responses", "completions"} & kinds.keys() else ["completions"]
        named += [] if "prompts" in kinds else ["prompts"]
    if {"responses", "completions"} & {*named} and _binds(signature, **dict.fromkeys(named)):
        return tuple(named)
    bound = _binds(signature, 0, 1)
    if bound is None or any(PLACES.get(key, place) != place for key, place in bound.arguments.items()):
        raise ValueError(
            f"must name a function that takes prompts and responses and no more, got {name}{signature}: "
            "write f(prompts, responses), or f(completions, **kwargs) as in TRL"
        )
    return None


def _binds(signature: inspect.Signature, *places: Any, **names: Any) -> inspect.BoundArguments | None:
    try:
        return signature.bind(*places, **names)
    except TypeError:
        return None
