"""Prompts from a text file, one per line; blank lines are passed over."""

from typing import Annotated

from pydantic import Field

from safelab.contracts import Context
from safelab.corpus.lines import read_lines
from safelab.options import Options as BaseOptions
from safelab.parts.data._epochs import Epochs


class Options(BaseOptions):
    """``path``: the file. ``seed``: of the order."""

    name: str
    path: str
    seed: Annotated[int, Field(ge=0)]


def build(options: Options, context: Context) -> Epochs:
    """The file's prompts, endless."""
    return Epochs([line for _, line in read_lines(options.path)], options.seed)
