"""Prompts from a text file, one per line; blank lines are passed over."""

from typing import Annotated

from pydantic import Field

from safelab.contracts import Context, Part, PromptSource
from safelab.corpus.lines import read_lines
from safelab.parts.data._epochs import Epochs


class Text(Part):
    """``path``: the file. ``seed``: of the order."""

    path: str
    seed: Annotated[int, Field(ge=0)]

    def build(self, context: Context) -> PromptSource:
        """The file's prompts, endless."""
        return Epochs(tuple(line for _, line in read_lines(self.path)), self.seed)
