"""Another source, whose prompts the policy reads with seeded faults: an instrument to ask what a method makes of them.

Reward and evaluator judge by the prompt as it was: what is wanted stays the same and only the asking suffers, and a
score that reads prompts of one grammar only works as ever.

    of each two neighbouring words, with probability swap_share: changed places
    then each word, with probability drop_share: left out, but never all of them

A word is what stands between spaces. One that ends with a colon stays where it is: it may say whose turn it is.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy
from pydantic import Field

from safelab.contracts import Context, Part, PromptSource
from safelab.errors import ConfigError
from safelab.maths.seeds import numpy_generator
from safelab.plugins import build_option

Share = Annotated[float, Field(ge=0, le=1)]


class Perturbed(Part):
    """``of``: the source's configuration, ``name`` and its keys. ``drop_share``, ``swap_share``: see above.

    ``seed``: of the faults, which are new for each prompt that is drawn, whether or not it came before.
    """

    holds: ClassVar[Mapping[str, str]] = {"of": "data"}

    of: Mapping[str, Any]
    drop_share: Share
    swap_share: Share
    seed: Annotated[int, Field(ge=0)]

    def build(self, context: Context) -> PromptSource:
        """The source, by its own option.

        Raises:
            ConfigError: it cannot be built; with the key ``data.of``.
        """
        try:
            return PerturbedSource(self, build_option("data", self.of, context))
        except ConfigError as error:
            raise ConfigError(f"data.of: {error}") from error


class PerturbedSource(PromptSource):
    """``source``, read as ``options`` say."""

    def __init__(self, options: Perturbed, source: PromptSource) -> None:
        self._options, self._source = options, source

    def prompts(self, cursor: int, count: int) -> list[str]:
        """The source's, as reward and evaluator read them."""
        return self._source.prompts(cursor, count)

    def columns(self, cursor: int, count: int) -> Mapping[str, Sequence[Any]]:
        """The source's."""
        return self._source.columns(cursor, count)

    def asked(self, prompt: str, number: int) -> str:
        """``prompt`` with its faults, which depend on the seed and its number."""
        options, drawn = self._options, numpy_generator(self._options.seed, "perturbed", number)
        words, spaces = re.findall(r"\S+", prompt), re.split(r"\S+", prompt)
        places = kept(swapped(words, options.swap_share, drawn), options.drop_share, drawn)
        # What stood before the text and behind it stays; every other word brings the space before it along.
        return (
            "".join((spaces[0] if number == 0 else spaces[place]) + word for number, (place, word) in enumerate(places))
            + spaces[-1]
        )


def swapped(words: Sequence[str], share: float, drawn: numpy.random.Generator) -> list[str]:
    """``words`` with neighbours in each other's places; a word takes part in one exchange at most."""
    found, place = list(words), 0
    while place + 1 < len(found):
        exchanged = movable(found[place]) and movable(found[place + 1]) and drawn.random() < share
        if exchanged:
            found[place], found[place + 1] = found[place + 1], found[place]
        place += 2 if exchanged else 1
    return found


def kept(words: Sequence[str], share: float, drawn: numpy.random.Generator) -> list[tuple[int, str]]:
    """Those that are not left out, with their places; the first of those that may go stays where all would."""
    free = [place for place, word in enumerate(words) if movable(word)]
    gone = [place for place in free if drawn.random() < share]
    left_out = set(gone[1:] if len(gone) == len(free) else gone)
    return [(place, word) for place, word in enumerate(words) if place not in left_out]


def movable(word: str) -> bool:
    """Whether a word may change places or go."""
    return not word.endswith(":")
