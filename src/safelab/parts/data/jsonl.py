"""Prompts from a file of JSON lines: one object per line, the prompt under one of its keys."""

from safelab.contracts import Context, PromptSource
from safelab.corpus.lines import read_lines, record_of, whole_text
from safelab.errors import DataError
from safelab.options import LocalPath
from safelab.parts.data._epochs import Finite


class Jsonl(Finite):
    """``path``: the file. ``field``: the key of the prompt. The other keys: see ``Finite``."""

    path: LocalPath
    field: str

    def build(self, context: Context) -> PromptSource:
        """The file's prompts, endless."""
        lines = read_lines(self.path)
        return self.endless([prompt_of(line, self.field, f"{self.path}, line {n}") for n, line in lines], context)


def prompt_of(line: str, field: str, where: str) -> str:
    """The prompt of one line.

    Raises:
        DataError: not a JSON object, or no text that is not blank under ``field``.
    """
    record = record_of(line, where)
    if field not in record:
        held = ", ".join(record) or "nothing"
        raise DataError(f"{where}: data.field must be a key of every record, got {field!r}; this one holds: {held}")
    prompt = record[field]
    if not isinstance(prompt, str) or not prompt.strip():
        raise DataError(f"{where}: {field} must be text that is not blank, got {prompt!r:.80}")
    return whole_text(prompt, f"{where}: {field}")
