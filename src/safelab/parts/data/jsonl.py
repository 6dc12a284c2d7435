"""Prompts from a file of JSON lines: one object per line, the prompt under one of its keys."""

import json
from typing import Annotated

from pydantic import Field

from safelab.contracts import Context, Part, PromptSource
from safelab.corpus.lines import read_lines
from safelab.errors import DataError
from safelab.parts.data._epochs import Epochs


class Jsonl(Part):
    """``path``: the file. ``field``: the key of the prompt. ``seed``: of the order."""

    path: str
    field: str
    seed: Annotated[int, Field(ge=0)]

    def build(self, context: Context) -> PromptSource:
        """The file's prompts, endless."""
        lines = read_lines(self.path)
        prompts = (prompt_of(line, self.field, f"{self.path}, line {n}") for n, line in lines)
        return Epochs(tuple(prompts), self.seed)


def prompt_of(line: str, field: str, where: str) -> str:
    """The prompt of one line.

    Raises:
        DataError: not a JSON object, or no text that is not blank under ``field``.
    """
    try:
        record = json.loads(line)
    except ValueError as error:
        raise DataError(
            f"{where}: data.path must hold one JSON object per line, got {line[:60]!r} ({error})"
        ) from error
    if not isinstance(record, dict) or field not in record:
        held = ", ".join(map(str, record)) if isinstance(record, dict) else type(record).__name__
        raise DataError(f"{where}: data.field must be a key of every record, got {field!r}; this one holds: {held}")
    prompt = record[field]
    if not isinstance(prompt, str) or not prompt.strip():
        raise DataError(f"{where}: {field} must be text that is not blank, got {prompt!r}")
    return prompt
