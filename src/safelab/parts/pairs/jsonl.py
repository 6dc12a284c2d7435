"""Pairs from a file of JSON lines: one object per line with the texts ``prompt``, ``chosen`` and ``rejected``."""

import json

from safelab.contracts import Context, PairSource
from safelab.corpus.lines import read_lines
from safelab.errors import DataError
from safelab.parts.pairs._drawn import Drawn
from safelab.types import Pair

FIELDS = ("prompt", "chosen", "rejected")


class Jsonl(Drawn):
    """``path``: the file."""

    path: str

    def build(self, context: Context) -> PairSource:
        """The file's pairs, endless; every answer counts as ended."""
        lines = read_lines(self.path, "pairs.path")
        return self.drawn(pair_of(line, f"{self.path}, line {n}") for n, line in lines)


def pair_of(line: str, where: str) -> Pair:
    """The pair of one line.

    Raises:
        DataError: no JSON object, or one of the three is no text, or the prompt is blank.
    """
    try:
        record = json.loads(line)
    except ValueError as error:
        raise DataError(
            f"{where}: pairs.path must hold one JSON object per line, got {line[:60]!r} ({error})"
        ) from error
    if not isinstance(record, dict) or any(not isinstance(record.get(name), str) for name in FIELDS):
        held = ", ".join(map(str, record)) if isinstance(record, dict) else type(record).__name__
        raise DataError(f"{where}: a pair must have the texts prompt, chosen and rejected; this record holds: {held}")
    if not record["prompt"].strip():
        raise DataError(f"{where}: prompt must be text that is not blank, got {record['prompt']!r}")
    return Pair(**{name: record[name] for name in FIELDS})
