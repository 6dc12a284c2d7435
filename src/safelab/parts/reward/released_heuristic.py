"""The heuristic that SAFE's released code falls back to when its reward model does not load.

    r = 0.3 [20 < words < 200] + 0.3 distinct words / words + 0.05 per substring among "help", "sure", "here"

over prompt and response together, so at most 0.75. The published means (0.725, 0.689) lie right under that ceiling and
far from ArmoRM's usual 0.1 to 0.2; whether the published runs used it is not known. Only by name, never as a fallback.
Ref: SAFE's released ``reward_model.py``.
"""

from collections.abc import Sequence

from safelab.contracts import Part, Reward

CHEERFUL = ("help", "sure", "here")


class ReleasedHeuristic(Part, Reward):
    """Nothing to set: the numbers are the released ones."""

    def score(self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool]) -> list[float]:
        """One number in [0, 0.75] per response."""
        return [heuristic(f"{prompt} {response}") for prompt, response in zip(prompts, responses, strict=True)]


def heuristic(text: str) -> float:
    """The score of one text."""
    words = text.split()
    length = 0.3 if 20 < len(words) < 200 else 0.0
    variety = 0.3 * len(set(words)) / len(words) if words else 0.0
    return length + variety + 0.05 * sum(part in text.lower() for part in CHEERFUL)
