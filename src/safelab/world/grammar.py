"""A small language of product reviews: 106 words, fixed sentence patterns, one sentiment per review.

A prompt names a coloured product; a review is an opening, one or two remarks and perhaps a closing sentence, at most
31 words. Every sentence is a row of slots, and a slot is a tuple of words that may stand there, so that the patterns
alone give the sampler, the recogniser and the set of word pairs that the language can make.
"""

import random
import re
from collections.abc import Iterable
from functools import cache
from itertools import pairwise, product

PRODUCTS = (
    "lamp",
    "chair",
    "phone",
    "jacket",
    "kettle",
    "camera",
    "tent",
    "radio",
    "blender",
    "backpack",
    "clock",
    "desk",
)
COLOURS = ("red", "blue", "green", "black", "white", "yellow", "grey", "brown")
ASPECTS = ("price", "size", "shape", "design", "weight", "handle", "finish", "quality", "box", "cable")
POSITIVE_ADJECTIVES = (
    "great", "excellent", "lovely", "wonderful", "perfect", "solid", "superb", "nice", "good", "beautiful",
)  # fmt: skip
NEGATIVE_ADJECTIVES = ("poor", "awful", "terrible", "bad", "weak", "ugly", "broken", "flimsy", "dull", "useless")
NEUTRAL_ADJECTIVES = ("plain", "small", "average", "normal", "simple", "standard")
POSITIVE_VERBS = ("love", "like", "enjoy", "recommend")
NEGATIVE_VERBS = ("hate", "dislike", "regret", "avoid")
NEUTRAL_VERBS = ("own", "use", "have")
INTENSIFIERS = ("very", "really", "quite")
PLACES = ("home", "office", "garden")
POLITE_WORDS = ("please", "thank", "thanks", "kindly", "dear")

POSITIVE_WORDS = frozenset(POSITIVE_ADJECTIVES + POSITIVE_VERBS)
NEGATIVE_WORDS = frozenset(NEGATIVE_ADJECTIVES + NEGATIVE_VERBS)

Slot = tuple[str, ...]
Sentence = tuple[Slot, ...]

_ADJECTIVES = {1: POSITIVE_ADJECTIVES, 0: NEUTRAL_ADJECTIVES, -1: NEGATIVE_ADJECTIVES}
_VERBS = {1: POSITIVE_VERBS, 0: NEUTRAL_VERBS, -1: NEGATIVE_VERBS}


def _words(text: str) -> Sentence:
    return tuple((word,) for word in text.split())


GREETING = _words("dear reader .")
POLITE_CLOSINGS = tuple(
    _words(text)
    for text in (
        "thank you for reading .",
        "thanks to the seller .",
        "please make more of these .",
        "kindly note this .",
    )
)
PLAIN_CLOSINGS = tuple(_words(text) for text in ("that is all .", "this is my view .", "i may write again ."))

# Share of reviews whose latent sentiment is good, indifferent or bad.
SENTIMENTS = (1, 0, -1)
SENTIMENT_SHARES = (0.25, 0.5, 0.25)
# Chance that one opinion is positive, neutral or negative, by sentiment.
OPINION_SHARES = {1: (0.55, 0.40, 0.05), 0: (0.15, 0.70, 0.15), -1: (0.05, 0.40, 0.55)}
# Of the words that a slot allows, number int(n u^SKEW) of n is taken, u even in [0, 1): earlier ones are commoner.
SKEW = 2.5
GREETING_SHARE = 0.15
CLOSING_SHARE = 0.75
POLITE_CLOSING_SHARE = 0.5
SECOND_REMARK_SHARE = 0.6

MAX_WORDS = 31
"""Of the longest review; its end token is not counted."""


def sample_prompt(rng: random.Random) -> str:
    """``review : the red lamp .`` with any colour and product."""
    colour, item = (words[int(rng.random() * len(words))] for words in (COLOURS, PRODUCTS))
    return f"review : the {colour} {item} ."


def sample_review(rng: random.Random) -> tuple[str, str]:
    """A prompt and a review that answers it, words parted by one space."""
    prompt = sample_prompt(rng)
    return prompt, sample_response(rng, prompt)


def sample_response(rng: random.Random, prompt: str) -> str:
    """A review of the product that the prompt names."""
    colour, item = named_in(prompt)
    sentiment = _draw(rng, SENTIMENTS, SENTIMENT_SHARES)
    sentences = [GREETING] if rng.random() < GREETING_SHARE else []
    sentences.append(_opening(rng, sentiment, colour, item))
    sentences.append(_remark(rng, sentiment))
    if rng.random() < SECOND_REMARK_SHARE:
        sentences.append(_remark(rng, sentiment))
    if rng.random() < CLOSING_SHARE:
        closings = POLITE_CLOSINGS if rng.random() < POLITE_CLOSING_SHARE else PLAIN_CLOSINGS
        sentences.append(closings[int(rng.random() * len(closings))])
    return " ".join(_pick(rng, slot) for sentence in sentences for slot in sentence)


def named_in(prompt: str) -> tuple[str, str]:
    """Colour and product of a prompt.

    Raises:
        ValueError: it is not of the form ``review : the red lamp .``.
    """
    match = _prompt_pattern().fullmatch(prompt)
    if match is None:
        raise ValueError(f"not a prompt of the review grammar: {prompt!r}")
    return match[1], match[2]


def is_review(prompt: str, response: str) -> bool:
    """Whether the grammar can answer ``prompt`` with ``response``, colour and product included."""
    colour, item = named_in(prompt)
    return _review_pattern(colour, item).fullmatch(response) is not None


def vocabulary() -> tuple[str, ...]:
    """Every word of prompts and reviews, in alphabetical order."""
    words = {word for sentence in _all_sentences() for slot in sentence for word in slot}
    return tuple(sorted(words | {"review", ":", "the", "."} | set(COLOURS) | set(PRODUCTS)))


@cache
def word_pairs() -> frozenset[tuple[str, str]]:
    """Every pair of neighbouring words that a review can hold, across sentences too."""
    within = {
        pair for sentence in _all_sentences() for left, right in pairwise(sentence) for pair in product(left, right)
    }
    # Any sentence but the greeting follows another one; which may follow which makes no other pair.
    starts = {word for sentence in _all_sentences() if sentence is not GREETING for word in sentence[0]}
    return frozenset(within | {(".", word) for word in starts})


def _openings(opinion: int, colours: Slot, items: Slot) -> tuple[Sentence, ...]:
    verbs, adjectives = _VERBS[opinion], _ADJECTIVES[opinion]
    return (
        (("i",), verbs, ("this",), items, (".",)),
        (("i",), verbs, ("the",), colours, items, (".",)),
        (("the",), colours, items, ("is",), adjectives, (".",)),
        (*_words("it is for my"), PLACES, (".",)),
    )


def _remarks(opinion: int) -> tuple[Sentence, ...]:
    adjectives = _ADJECTIVES[opinion]
    return (
        (("the",), ASPECTS, ("is",), adjectives, (".",)),
        (("the",), ASPECTS, ("is",), INTENSIFIERS, adjectives, (".",)),
        (("it",), ("is",), INTENSIFIERS, adjectives, (".",)),
        (("the",), ASPECTS, *_words("and the"), ASPECTS, ("are",), adjectives, (".",)),
    )


def _opening(rng: random.Random, sentiment: int, colour: str, item: str) -> Sentence:
    openings = _openings(_opinion(rng, sentiment), (colour,), (item,))
    return openings[int(rng.random() * len(openings))]


def _remark(rng: random.Random, sentiment: int) -> Sentence:
    remarks = _remarks(_opinion(rng, sentiment))
    return remarks[int(rng.random() * len(remarks))]


def _opinion(rng: random.Random, sentiment: int) -> int:
    return _draw(rng, (1, 0, -1), OPINION_SHARES[sentiment])


def _draw(rng: random.Random, values: tuple[int, ...], shares: tuple[float, ...]) -> int:
    """Python fixes the sequence of ``random()`` for good, but not that of ``choice`` or ``choices``."""
    left = rng.random()
    for value, share in zip(values, shares, strict=True):
        left -= share
        if left < 0:
            return value
    return values[-1]


def _pick(rng: random.Random, words: Slot) -> str:
    return words[int(len(words) * rng.random() ** SKEW)] if len(words) > 1 else words[0]


@cache
def _all_sentences() -> tuple[Sentence, ...]:
    opinions = (1, 0, -1)
    openings = [sentence for opinion in opinions for sentence in _openings(opinion, COLOURS, PRODUCTS)]
    remarks = [sentence for opinion in opinions for sentence in _remarks(opinion)]
    return (GREETING, *openings, *remarks, *POLITE_CLOSINGS, *PLAIN_CLOSINGS)


@cache
def _prompt_pattern() -> re.Pattern[str]:
    return re.compile(f"review : the ({'|'.join(COLOURS)}) ({'|'.join(PRODUCTS)}) \\.")


@cache
def _review_pattern(colour: str, item: str) -> re.Pattern[str]:
    opinions = (1, 0, -1)
    opening = _any_of(sentence for o in opinions for sentence in _openings(o, (colour,), (item,)))
    remark = _any_of(sentence for o in opinions for sentence in _remarks(o))
    closing = _any_of((*POLITE_CLOSINGS, *PLAIN_CLOSINGS))
    return re.compile(f"(?:dear reader \\. )?{opening}(?: {remark}){{1,2}}(?: {closing})?")


def _any_of(sentences: Iterable[Sentence]) -> str:
    rows = (" ".join(f"(?:{'|'.join(map(re.escape, slot))})" for slot in sentence) for sentence in sentences)
    return f"(?:{'|'.join(rows)})"
