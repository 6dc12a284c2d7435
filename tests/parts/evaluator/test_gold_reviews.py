import math

import pytest

from safelab.errors import ConfigError
from safelab.plugins import build_option
from support.models import context


def score(prompt: str, response: str, ended: bool) -> float:
    return build_option("evaluator", {"name": "gold_reviews"}, context()).score([prompt], [response], [ended])[0]


def test_a_short_kind_word_by_hand() -> None:
    # One positive word, no product, no pair, fewer than six words: tanh(1) - 1; the same without an end.
    assert score("review : the red lamp .", "great", True) == pytest.approx(math.tanh(1) - 1)
    assert score("review : the red lamp .", "great", False) == pytest.approx(math.tanh(1) - 1)


def test_prompts_of_another_kind_are_refused() -> None:
    with pytest.raises(ConfigError, match="use evaluator=none"):
        score("Once upon a time", "great", True)
