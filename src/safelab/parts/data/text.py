"""Prompts from a text file, one per line; blank lines are passed over."""

from safelab.contracts import Context, PromptSource
from safelab.corpus.lines import read_lines
from safelab.options import LocalPath
from safelab.parts.data._epochs import Finite


class Text(Finite):
    """``path``: the file. The other keys: see ``Finite``."""

    path: LocalPath

    def build(self, context: Context) -> PromptSource:
        """The file's prompts, endless."""
        return self.endless([line for _, line in read_lines(self.path)], context)
