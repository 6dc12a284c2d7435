"""The review language: what it samples, what it recognises, and how often each thing is said."""

import random
from collections import Counter
from itertools import pairwise

import pytest

from safelab.world.grammar import (
    COLOURS,
    MAX_WORDS,
    NEGATIVE_WORDS,
    NEUTRAL_ADJECTIVES,
    NEUTRAL_VERBS,
    POSITIVE_WORDS,
    PRODUCTS,
    is_review,
    named_in,
    sample_prompt,
    sample_review,
    vocabulary,
    word_pairs,
)

PROMPT = "review : the red lamp ."
COUNT = 6000


@pytest.fixture(scope="module")
def reviews() -> list[tuple[str, str]]:
    rng = random.Random(0)
    return [sample_review(rng) for _ in range(COUNT)]


def share_of(reviews: list[tuple[str, str]], said: str) -> float:
    return sum(said in response for _, response in reviews) / len(reviews)


@pytest.mark.parametrize(
    "review",
    [
        "i love this lamp . the price is good .",
        "dear reader . it is for my home . it is very ugly . the box and the cable are plain . that is all .",
        "i own the red lamp . the size is quite bad . thank you for reading .",
        "the red lamp is average . it is really great . the quality is dull . i may write again .",
    ],
)
def test_reviews_written_by_hand_are_recognised(review: str) -> None:
    assert is_review(PROMPT, review)


@pytest.mark.parametrize(
    ("review", "why"),
    [
        ("i love this chair . the price is good .", "another product"),
        ("the blue lamp is average . the price is good .", "another colour"),
        ("i love this lamp .", "no remark"),
        ("i love this lamp . the price is good . the price is good . the price is good .", "three remarks"),
        ("the price is good . i love this lamp .", "the remark before the opening"),
        ("i love this lamp . the price is good", "no full stop"),
        ("i great this lamp . the price is good .", "an adjective for a verb"),
        ("i love this lamp . the price is good . that is all . that is all .", "two closings"),
        ("i love this lamp .  the price is good .", "two spaces"),
        ("", "nothing"),
    ],
)
def test_what_is_no_review_is_refused(review: str, why: str) -> None:
    assert not is_review(PROMPT, review), why


def test_everything_that_is_sampled_is_recognised(reviews: list[tuple[str, str]]) -> None:
    assert all(is_review(prompt, response) for prompt, response in reviews)
    lengths = [len(response.split()) for _, response in reviews]
    # The longest: greeting 3, opening 7, two remarks of 8, closing 5.
    assert max(lengths) == MAX_WORDS == 3 + 7 + 8 + 8 + 5


def test_a_seed_decides_all_and_the_next_draw_is_another() -> None:
    first, again = random.Random(5), random.Random(5)
    drawn = [sample_review(first) for _ in range(20)]
    assert drawn == [sample_review(again) for _ in range(20)]
    assert len(set(drawn)) > 15


def test_the_words_are_those_of_the_language(reviews: list[tuple[str, str]]) -> None:
    words = vocabulary()
    assert len(words) == len(set(words)) == 106
    assert list(words) == sorted(words)
    said = {word for prompt, response in reviews for word in f"{prompt} {response}".split()}
    assert said == set(words), "six thousand reviews say every word and no other"


def test_the_word_pairs_are_all_that_are_met_and_few_besides(reviews: list[tuple[str, str]]) -> None:
    met = {pair for _, response in reviews for pair in pairwise(response.split())}
    assert met <= word_pairs()
    # A good part of the pairs is rare (the last adjective after the last intensifier); most are met.
    assert len(met) > 0.8 * len(word_pairs())
    for never in ((".", "."), ("is", "is"), ("lamp", "lamp"), ("lamp", "love"), ("great", "great"), (".", "dear")):
        assert never not in word_pairs(), never


@pytest.mark.parametrize(("said", "share"), [("dear reader .", 0.15), ("you for reading .", 0.75 * 0.5 / 4),
                                              ("that is all .", 0.75 * 0.5 / 3), ("it is for my", 0.25)])  # fmt: skip
def test_sentences_are_as_common_as_it_is_said(reviews: list[tuple[str, str]], said: str, share: float) -> None:
    spread = (share * (1 - share) / COUNT) ** 0.5
    assert abs(share_of(reviews, said) - share) < 4 * spread


def test_opinions_follow_the_latent_sentiment() -> None:
    # A remark is good with 0.25 x 0.55 + 0.5 x 0.15 + 0.25 x 0.05 = 0.225, bad as often, and else neither.
    rng, counts, total = random.Random(1), Counter(), 0
    for _ in range(COUNT):
        remark = sample_review(rng)[1].removeprefix("dear reader . ").split(" . ")[1].removesuffix(" .")
        word = remark.split()[-1]
        counts["good" if word in POSITIVE_WORDS else "bad" if word in NEGATIVE_WORDS else "plain"] += 1
        total += 1
    for kind, share in (("good", 0.225), ("bad", 0.225), ("plain", 0.55)):
        assert abs(counts[kind] / total - share) < 4 * (share * (1 - share) / total) ** 0.5


def test_earlier_words_of_a_slot_are_commoner(reviews: list[tuple[str, str]]) -> None:
    # Of three places the first is taken where u^2.5 < 1/3: with (1/3)^0.4 = 0.6444 of the draws.
    places = Counter(place for place in ("home", "office", "garden") for _, review in reviews
                     if f"for my {place}" in review)  # fmt: skip
    total = sum(places.values())
    assert abs(places["home"] / total - (1 / 3) ** 0.4) < 4 * (0.23 / total) ** 0.5
    assert places["home"] > places["office"] > places["garden"] > 0


def test_no_word_is_of_two_minds() -> None:
    assert not POSITIVE_WORDS & NEGATIVE_WORDS
    assert not (POSITIVE_WORDS | NEGATIVE_WORDS) & {*NEUTRAL_ADJECTIVES, *NEUTRAL_VERBS}


def test_prompts_name_every_product_and_colour() -> None:
    rng = random.Random(2)
    named = {named_in(sample_prompt(rng)) for _ in range(3000)}
    assert named == {(colour, item) for colour in COLOURS for item in PRODUCTS}


@pytest.mark.parametrize(
    "prompt", ["", "review : the pink lamp .", "review : the red lamp", " review : the red lamp ."]
)
def test_another_prompt_is_refused(prompt: str) -> None:
    with pytest.raises(ValueError, match="not a prompt of the review grammar"):
        named_in(prompt)
