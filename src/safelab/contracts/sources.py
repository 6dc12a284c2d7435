"""Where a run's texts come from: ``data`` (prompts) and ``pairs`` (preferences)."""

from abc import ABC, abstractmethod

from safelab.types import Pair


class PromptSource(ABC):
    """``data``: an endless, seeded sequence of prompts; the cursor is all its state."""

    @abstractmethod
    def prompts(self, cursor: int, count: int) -> list[str]:
        """The prompts number ``cursor`` to ``cursor + count - 1``."""


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
