"""Prompts from a file of JSON lines: one object per line, the prompt under one of its keys."""

from collections.abc import Mapping
from typing import Any

from safelab.contracts import Context, PromptSource
from safelab.corpus.lines import read_lines, record_of, whole_text
from safelab.errors import DataError
from safelab.options import LocalPath
from safelab.parts.data._columns import others_of
from safelab.parts.data._epochs import Finite


class Jsonl(Finite):
    """``path``: the file. ``field``: the key of the prompt. The other keys: see ``Finite``.

    What a record holds besides is there for whoever reads it.
    """

    path: LocalPath
    field: str

    def build(self, context: Context) -> PromptSource:
        """The file's prompts, endless."""
        lines = read_lines(self.path)
        places = [f"{self.path}, line {number}" for number, _ in lines]
        records = [record_of(line, where) for (_, line), where in zip(lines, places, strict=True)]
        prompts = [prompt_of(record, self.field, where) for record, where in zip(records, places, strict=True)]
        return self.endless(prompts, context, others_of(records, self.field, context.reading, places.__getitem__))


def prompt_of(record: Mapping[str, Any], field: str, where: str) -> str:
    """The prompt of one record.

    Raises:
        DataError: no text that is not blank under ``field``.
    """
    if field not in record:
        held = ", ".join(record) or "nothing"
        raise DataError(f"{where}: data.field must be a key of every record, got {field!r}; this one holds: {held}")
    prompt = record[field]
    if not isinstance(prompt, str) or not prompt.strip():
        raise DataError(f"{where}: {field} must be text that is not blank, got {prompt!r:.80}")
    return whole_text(prompt, f"{where}: {field}")
