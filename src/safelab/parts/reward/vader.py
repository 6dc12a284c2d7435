"""The sentiment of a response by VADER, a lexicon with rules: fast, without a model, and easily fooled.

    r = s / sqrt(s^2 + 15)

    s: sum of its words' valences, each between -4 and 4, after negation, emphasis and capitals

so r lies in (-1, 1). It reads English words and nothing else: not the prompt, not the order of sentences, not
whether the text makes sense. That makes it a reward whose over-optimisation can be watched.
Ref: Hutto & Gilbert 2014, VADER (ICWSM); the package vaderSentiment (its ``compound`` score).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from safelab.contracts import Context, Part, Reward
from safelab.errors import ConfigError


class Vader(Part):
    """Nothing to set."""

    def build(self, context: Context) -> Reward:
        """The analyser with its lexicon.

        Raises:
            ConfigError: its package is not installed.
        """
        try:
            from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"reward=vader needs the package vaderSentiment, got {error}: pip install 'safelab[sentiment]'"
            ) from error
        return Sentiment(SentimentIntensityAnalyzer())


@dataclass(frozen=True, slots=True)
class Sentiment(Reward):
    """What the analyser says of a text."""

    analyser: Any

    def score(self, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool]) -> list[float]:
        """The compound sentiment of each response; 0 where it has no word of the lexicon."""
        return [self.analyser.polarity_scores(response)["compound"] for response in responses]
