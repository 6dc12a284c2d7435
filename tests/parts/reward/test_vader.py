"""Against the formula by hand; the package itself is installed by the project's `dev` extra."""

import math
import sys

import pytest

from safelab.errors import ConfigError
from safelab.plugins import build_option
from support.models import context


def score(response: str, prompt: str = "Say something.") -> float:
    reward = build_option("reward", {"name": "vader"}, context())
    return reward.score([prompt], [response], [True])[0]


def compound(valence: float) -> float:
    return valence / math.sqrt(valence**2 + 15)


def test_by_hand() -> None:
    # The lexicon gives "good" 1.9 and "great" 3.1; one word alone is its valence, two are summed.
    assert score("good") == pytest.approx(compound(1.9), abs=1e-4)
    assert score("good great") == pytest.approx(compound(1.9 + 3.1), abs=1e-4)


def test_a_negation_turns_a_word_and_weakens_it() -> None:
    # Hutto & Gilbert: times -0.74.
    assert score("not good") == pytest.approx(compound(-0.74 * 1.9), abs=1e-4)


def test_words_that_it_does_not_know_score_nothing_and_the_prompt_is_not_read() -> None:
    assert score("the table stands here") == 0.0
    assert score("") == 0.0
    assert score("good", prompt="terrible, horrible") == score("good")


def test_more_of_the_same_word_is_never_too_much() -> None:
    """What makes it a reward that can be over-optimised."""
    assert score("great " * 20) > score("great " * 2) > score("great")


def test_without_its_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vaderSentiment.vaderSentiment", None)
    with pytest.raises(ConfigError, match=r"pip install 'safelab\[sentiment\]'"):
        build_option("reward", {"name": "vader"}, context())
