"""A user's own function as reward: ``reward.name=package.module:function``, called as ``f(prompts, responses)``."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from safelab.contracts import Context, Part, Reward
from safelab.errors import ConfigError, RunFailed
from safelab.plugins import resolve

RETRIES = 2
"""Further calls after an OSError: connections, time-outs and files are its kinds, and those of most HTTP libraries."""

PAUSE_S = 1.0
"""Before the first of them; doubles."""


class Function(Part):
    """``name``: where the function is, found from the current folder or PYTHONPATH."""

    def build(self, context: Context) -> Reward:
        """The function, imported.

        Raises:
            ConfigError: no such module or function, or not callable.
        """
        function = resolve(self.name, "reward.name")
        if not callable(function):
            raise ConfigError(f"reward.name must name a function, got {self.name}: {type(function).__name__}")
        return FunctionReward(self.name, function)


@dataclass(frozen=True, slots=True)
class FunctionReward(Reward):
    """What the function returns is checked, and what it raises is told with its name."""

    name: str
    function: Callable[[list[str], list[str]], Any]

    def score(self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool]) -> list[float]:
        """One finite number per response.

        Raises:
            RunFailed: the function raised, or returned something else.
        """
        values = self._called(list(prompts), list(responses))
        if len(values) != len(responses):
            raise RunFailed(f"reward {self.name} must return one number per response, got {len(values)} for "
                            f"{len(responses)}")  # fmt: skip
        return [self._number(value, prompt) for value, prompt in zip(values, prompts, strict=True)]

    def _called(self, prompts: list[str], responses: list[str]) -> list[Any]:
        """What the function returns; asked again where files or connections failed it, which may pass."""
        for attempt in range(RETRIES + 1):
            try:
                return list(self.function(prompts, responses))
            # A stranger's code may raise anything; it is chained, named, and ends the run.
            except Exception as error:
                if attempt == RETRIES or not isinstance(error, OSError):
                    tries = f" (in {attempt + 1} tries)" if attempt else ""
                    raise RunFailed(f"reward {self.name} raised {type(error).__name__}: {error}{tries}") from error
            time.sleep(PAUSE_S * 2**attempt)
        raise AssertionError("a loop of at least one try returns or raises")

    def _number(self, value: Any, prompt: str) -> float:
        number = value.item() if hasattr(value, "item") else value
        if not isinstance(number, Real) or not math.isfinite(number):
            raise RunFailed(f"reward {self.name} must return finite numbers, got {value!r} for {prompt[:80]!r}")
        return float(number)
