"""``reward``: what RL sees of a response."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any


class Reward(ABC):
    """``reward``: what RL sees."""

    @abstractmethod
    def score(
        self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool], *args: Any, **columns: Any
    ) -> list[float]:
        """One finite number per response. ``ended``: whether the response gave its end token.

        Further arguments are columns of the data, by their names, one value per response: see ``columns``. Most rewards
        have none. (``*args`` is never given; with it a type checker lets each reward name its own.)
        """

    def check_prompt(self, prompt: str) -> None:  # noqa: B027 (most rewards read every text)
        """Refuse a prompt that this reward cannot read; asked when the data is read, once for each prompt.

        Raises:
            DataError: it cannot be read.
        """
