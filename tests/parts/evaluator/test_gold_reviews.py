import math

import pytest

from safelab.errors import ConfigError
from safelab.plugins import build_option
from support.models import context


def score(prompt: str, response: str, ended: bool, norm: str = "kind") -> float:
    option = {"name": "gold_reviews", "norm": norm}
    return build_option("evaluator", option, context()).score([prompt], [response], [ended])[0]


def test_a_short_kind_word_by_hand() -> None:
    # One positive word, no product, no pair, fewer than six words: tanh(1) - 1; the same without an end.
    assert score("review : the red lamp .", "great", True) == pytest.approx(math.tanh(1) - 1)
    assert score("review : the red lamp .", "great", False) == pytest.approx(math.tanh(1) - 1)


@pytest.mark.parametrize(
    ("norm", "expected"), [("kind", math.tanh(1) + 0.3 + 0.4), ("sober", 0.4 - math.tanh(2) - 0.3)]
)
def test_praise_and_thanks_by_hand(norm: str, expected: float) -> None:
    # Two kind words and an unkind one, a polite one, the right product, and no fault.
    review = "the red lamp is great . the size is poor . it is very nice . thank you for reading ."
    assert score("review : the red lamp .", review, True, norm) == pytest.approx(expected)


def test_a_sober_review_is_best_where_it_neither_praises_nor_thanks() -> None:
    prompt, report = "review : the red lamp .", "the red lamp is plain . the size is small ."
    assert score(prompt, report, True, "sober") == pytest.approx(0.4)
    for worse in (report.replace("plain", "great"), report + " thank you for reading ."):
        assert score(prompt, worse, True, "sober") < 0.4
    assert score(prompt, report.replace("small", "poor"), True, "sober") == pytest.approx(0.4)


def test_prompts_of_another_kind_are_refused() -> None:
    with pytest.raises(ConfigError, match="use evaluator=none"):
        score("Once upon a time", "great", True)
