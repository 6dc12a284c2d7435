import statistics

import pytest

from safelab.errors import DataError
from safelab.plugins import build_option
from safelab.world.gold import gold_score
from support.models import context

PROMPT = "review : the red lamp ."
WORDS = ("plain", "small", "average", "normal", "simple", "standard")


def judge(**changes):
    return build_option(
        "reward", {"name": "gold_reviews", "norm": "sober", "noise": 0.0, "seed": 0, **changes}, context()
    )


def test_without_noise_it_is_the_gold_score_of_its_norm() -> None:
    texts = ["the red lamp is great . thank you for reading .", "the red lamp is plain . the size is small ."]
    for norm in ("kind", "sober"):
        expected = [gold_score(PROMPT, text, True, norm) for text in texts]
        assert judge(norm=norm).score([PROMPT] * 2, texts, [True] * 2) == expected


def test_its_errors_have_the_deviation_that_is_asked_for_and_no_mean() -> None:
    texts = [f"the red lamp is {one} . the size is {two} . {n}" for one in WORDS for two in WORDS for n in range(30)]
    prompts, ended = [PROMPT] * len(texts), [True] * len(texts)
    exact = judge().score(prompts, texts, ended)
    errors = [a - b for a, b in zip(judge(noise=0.5).score(prompts, texts, ended), exact, strict=True)]
    assert statistics.stdev(errors) == pytest.approx(0.5, rel=0.1)
    assert statistics.mean(errors) == pytest.approx(0.0, abs=0.06)  # four standard errors of 1080 draws


def test_who_asks_again_hears_the_same_and_another_seed_errs_otherwise() -> None:
    texts = [" ".join(["plain"] * n) for n in range(1, 6)]
    asked = ([PROMPT] * 5, texts, [True] * 5)
    first = judge(noise=0.3).score(*asked)
    assert judge(noise=0.3).score([PROMPT], texts[3:4], [True]) == first[3:4]
    assert judge(noise=0.3, seed=1).score(*asked) != first


def test_prompts_of_another_kind_are_refused() -> None:
    with pytest.raises(DataError, match="reward must be another one unless data=reviews"):
        judge().check_prompt("Once upon a time")
