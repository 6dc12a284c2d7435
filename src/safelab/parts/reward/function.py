"""A user's own function as reward: ``reward.name=package.module:function``. How it is called: see ``_call``."""

import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationInfo, field_validator, model_validator

from safelab.contracts import Context, Part, Reading, Reward, checked_scores
from safelab.errors import OwnCodeFailed, RunFailed
from safelab.foreign import calling
from safelab.parts.reward._call import BY_PLACE, Call, call_of
from safelab.plugins import resolve

RETRIES = 2
"""Further calls after an OSError: connections, time-outs and files are its kinds, and those of most HTTP libraries."""

PAUSE_S = 1.0
"""Before the first of them; doubles."""


class Function(Part):
    """``name``: where the function is, found from the current folder or PYTHONPATH.

    ``options``: further arguments by name, null for none.
    """

    options: Mapping[str, Any] | None

    @model_validator(mode="before")
    @classmethod
    def _without_options(cls, given: Any) -> Any:
        return {"options": None, **given}  # a member of an ensemble, or a run of a version before options, has none

    @field_validator("name")
    @classmethod
    def _can_be_called(cls, name: str) -> str:
        call_of(resolve(name, "reward.name"), name, ())
        return name

    @field_validator("options")
    @classmethod
    def _are_taken(cls, options: Mapping[str, Any] | None, seen: ValidationInfo) -> Mapping[str, Any] | None:
        if options and "name" in seen.data:  # else the name was refused already
            call_of(resolve(seen.data["name"], "reward.name"), seen.data["name"], options)
        return options

    def build(self, context: Context) -> Reward:
        """The function, imported."""
        function = resolve(self.name, "reward.name")
        options = self.options or {}
        return FunctionReward(self.name, function, call_of(function, self.name, options), options)


@dataclass(frozen=True, slots=True)
class FunctionReward(Reward):
    """What the function returns is checked, and what it raises is told with its name."""

    name: str
    function: Callable[..., Any]
    call: Call = BY_PLACE
    options: Mapping[str, Any] = field(default_factory=dict)

    def reading(self) -> Reading:
        """The columns that the function's signature names."""
        return self.call.reading

    def score(
        self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool], **columns: Sequence[Any]
    ) -> list[float]:
        """One finite number per response; asked again where files or connections failed it, which may pass.

        Raises:
            RunFailed: the function raised, or returned something else.
        """
        lists = {"prompts": prompts, "responses": responses, "completions": responses, "ended": ended}
        for attempt in range(RETRIES + 1):
            try:
                with calling(f"reward {self.name}", RunFailed):
                    places, names = self.call.arguments(lists, deepcopy(columns))
                    scores = self.function(*places, **names, **deepcopy(dict(self.options)))
                    return checked_scores(f"reward {self.name}", scores, prompts, OwnCodeFailed)
            except RunFailed as error:
                if not isinstance(error.__cause__, OSError):
                    raise
                if attempt == RETRIES:
                    raise RunFailed(f"{error} (in {attempt + 1} tries)") from error.__cause__
            time.sleep(PAUSE_S * 2**attempt)
        raise AssertionError("a loop of at least one try returns or raises")
