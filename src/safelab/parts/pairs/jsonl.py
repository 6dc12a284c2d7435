"""Pairs from a file of JSON lines: one object per line with the texts ``prompt``, ``chosen`` and ``rejected``."""

from safelab.contracts import Context, PairSource
from safelab.corpus.lines import read_lines, record_of, texts_of
from safelab.errors import DataError
from safelab.options import LocalPath
from safelab.parts.pairs._drawn import FromFile
from safelab.types import Pair

FIELDS = ("prompt", "chosen", "rejected")


class Jsonl(FromFile):
    """``path``: the file."""

    path: LocalPath

    def build(self, context: Context) -> PairSource:
        """The file's pairs, endless; every answer counts as ended."""
        lines = read_lines(self.path, "pairs.path")
        return self.readable([pair_of(line, f"{self.path}, line {n}") for n, line in lines], context)


def pair_of(line: str, where: str) -> Pair:
    """The pair of one line.

    Raises:
        DataError: no JSON object, or one of the three is no text, or the prompt is blank.
    """
    prompt, chosen, rejected = texts_of(record_of(line, where, "pairs.path"), FIELDS, where)
    if not prompt.strip():
        raise DataError(f"{where}: prompt must be text that is not blank, got {prompt!r:.80}")
    return Pair(prompt=prompt, chosen=chosen, rejected=rejected)
