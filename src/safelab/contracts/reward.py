"""``reward``: what RL sees of a response."""

from abc import ABC, abstractmethod
from collections.abc import Sequence


class Reward(ABC):
    """``reward``: what RL sees."""

    @abstractmethod
    def score(self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool]) -> list[float]:
        """One finite number per response. ``ended``: whether the response gave its end token."""

    def check_prompt(self, prompt: str) -> None:  # noqa: B027 (most rewards read every text)
        """Refuse a prompt that this reward cannot read; asked when the data is read, once for each prompt.

        Raises:
            DataError: it cannot be read.
        """
