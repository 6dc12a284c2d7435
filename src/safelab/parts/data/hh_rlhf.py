"""Prompts of HH-RLHF, from a local file in its own format or from the hub."""

from collections.abc import Callable
from typing import Literal

from safelab.contracts import Context, PromptSource
from safelab.corpus.hh import first_turn, last_turn, locate, read_dialogues
from safelab.options import PathOrHub
from safelab.parts.data._sides import Split
from safelab.types import Pair

CUTS: dict[str, Callable[[Pair], str]] = {"first_turn": first_turn, "last_turn": last_turn}


class HhRlhf(Split):
    """``path``: a file, or the data set's name on the hub with its ``subset`` and ``split``.

    ``cut``: where a prompt ends, see ``corpus.hh``. The other keys: see ``Split``.
    """

    path: PathOrHub
    subset: str
    split: Literal["train", "test"]
    cut: Literal["first_turn", "last_turn"]

    def build(self, context: Context) -> PromptSource:
        """The prompts, each once per pass.

        Raises:
            DataError: no such file or data set, or nothing is left to draw.
        """
        records = read_dialogues(locate(self.path, self.subset, self.split))
        return self.drawn([CUTS[self.cut](record.pair) for record in records[: self.limit]], context)
