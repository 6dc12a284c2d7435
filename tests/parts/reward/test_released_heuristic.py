import pytest

from safelab.plugins import build_option
from support.models import context


def score(prompt: str, response: str) -> float:
    reward = build_option("reward", {"name": "released_heuristic"}, context())
    return reward.score([prompt], [response], [True])[0]


def test_by_hand() -> None:
    # Four words, three distinct, no cheerful one: 0.3 * 3 / 4.
    assert score("a b", "a c") == pytest.approx(0.225)
    # "Sure" and "help" in three words that all differ.
    assert score("", "Sure I help") == pytest.approx(0.3 + 0.1)


def test_length_counts_above_20_and_below_200_words() -> None:
    assert score("", "x " * 20) == pytest.approx(0.3 / 20)
    assert score("", "x " * 21) == pytest.approx(0.3 + 0.3 / 21)
    assert score("", "x " * 200) == pytest.approx(0.3 / 200)


def test_the_ceiling_is_three_quarters() -> None:
    text = " ".join(f"w{i}" for i in range(30)) + " here to help sure"
    assert score("", text) == pytest.approx(0.75)


def test_an_empty_text_scores_nothing() -> None:
    assert score("", "") == 0.0
