"""Prompts from a column of any data set: on the hub, or in local tables of the same kinds.

The hub keeps a copy of each data set as Parquet, ``<subset>/<split>/*.parquet`` on the branch ``refs/convert/parquet``;
this reads that copy, so that no data set's own code runs.
"""

import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from safelab.contracts import Context, PromptSource, Reading
from safelab.corpus.lines import read_lines, record_of, whole_text
from safelab.errors import DataError, nearest
from safelab.options import PathOrHub
from safelab.parts.data._columns import others_of
from safelab.parts.data._sides import Split

WordRange = Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2, max_length=2)]
"""The fewest and the most."""

BRANCH = "refs/convert/parquet"
KINDS = (".parquet", ".jsonl", ".csv")


class Hub(Split):
    """``path``: a data set of the hub with ``subset`` and ``split``, or a local file or folder; ``column`` of prompts.

    ``first_words``: of each text only so many first words, a number that ``seed`` draws between the two, both included;
    null for all. The tables' other columns are there for whoever reads them. The other keys: see ``Split``.
    """

    path: PathOrHub
    subset: str
    split: str
    column: str
    first_words: WordRange | None

    @model_validator(mode="after")
    def _words_in_order(self) -> "Hub":
        if self.first_words is not None and self.first_words[0] > self.first_words[1]:
            raise ValueError(f"first_words must be [fewest, most], got {self.first_words}")
        return self

    def build(self, context: Context) -> PromptSource:
        """The prompts, each once per pass.

        Raises:
            DataError: nothing readable there, no such column, or a prompt that is no text.
        """
        tables = {file: records_of(file, self.column, context.reading) for file in self._files()}
        places = [f"{file}, record {number}" for file, table in tables.items() for number in range(1, len(table) + 1)]
        records = [record for table in tables.values() for record in table]
        prompts = beginnings([record[self.column] for record in records], self.first_words, self.seed)
        return self.drawn(prompts, context, others_of(records, self.column, context.reading, places.__getitem__))

    def _files(self) -> list[Path]:
        """The tables in the order of their names: local ones, or those of the hub, fetched into its cache."""
        local = Path(self.path)
        if local.is_file():
            return [local]
        if local.is_dir():
            folder = local
        elif local.suffix in KINDS or self.path.count("/") != 1:
            raise DataError(
                f"data.path must be a file, a folder or a data set on the hub, got {self.path}, which is neither"
            )
        else:
            folder = fetched(self.path, self.subset, self.split)
        if files := sorted(file for file in folder.iterdir() if file.suffix in KINDS):
            return files
        raise DataError(f"data.path must lead to tables ({', '.join(KINDS)}), got {folder} with none")


def beginnings(texts: Sequence[str], words: WordRange | None, seed: int) -> list[str]:
    """The texts, each cut behind so many words; what parts them stays as it is.

    The number for a text depends on ``seed`` and the texts before it, so that a text always has the same beginning.
    """
    if words is None:
        return list(texts)
    draw = random.Random(seed)
    return [first_words(text, draw.randint(*words)) for text in texts]


def first_words(text: str, count: int) -> str:
    """Up to the end of word ``count``, or all."""
    found = re.match(rf"\s*\S+(?:\s+\S+){{0,{count - 1}}}", text)
    return found[0] if found else text


def fetched(path: str, subset: str, split: str) -> Path:
    """The folder of the hub's Parquet copy of ``subset`` and ``split``, in the hub's cache.

    Raises:
        DataError: it is neither in the cache nor reachable, or has no such subset and split.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    inner = f"{subset}/{split}"
    try:
        root = snapshot_download(path, repo_type="dataset", revision=BRANCH, allow_patterns=[f"{inner}/*.parquet"])
    except HFValidationError as error:
        raise DataError(
            f"data.path must be a file, a folder or a data set on the hub, got {path!r}: there is no such file, and no "
            "data set can have that name"
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise DataError(
            f"data.path={path} ({inner}) must be in the hub's cache or reachable ({type(error).__name__}); "
            "fetch it first, or give data.path=FILE.parquet (or .jsonl, .csv)"
        ) from error
    folder = Path(root) / inner
    if not folder.is_dir():
        raise DataError(f"data.subset and data.split must exist in {path}, got {inner}")
    return folder


def records_of(file: Path, column: str, reading: Reading) -> list[dict[str, Any]]:
    """The records of one table: the prompt under ``column``, and the columns that are read.

    Raises:
        DataError: the table cannot be read, or lacks the column, or holds something else than text there.
    """
    try:
        held, records = read_table(file, column, reading)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"data.path must be a readable table, got {file}: {reason}") from error
    if column not in held:
        raise DataError(f"data.column must be a column of {file}, got {column!r}: {nearest(column, held)}")
    if lacking := sorted(reading.must - {*held}):
        raise DataError(
            f"{file} must have the column {lacking[0]!r}, which reward or evaluator reads as its argument of that "
            f"name: {nearest(lacking[0], held)}"
        )
    for number, record in enumerate(records, start=1):
        text = record.get(column)
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"{file}, record {number}: {column} must be text that is not blank, got {text!r:.60}")
        whole_text(text, f"{file}, record {number}: {column}")
    return records


def read_table(file: Path, column: str, reading: Reading) -> tuple[list[str], list[dict[str, Any]]]:
    """The names of a table's columns, and its records with ``column`` and those that are read; by the file's suffix."""
    if file.suffix == ".parquet":
        from pyarrow import parquet

        held = list(parquet.read_schema(file).names)
        # Arrow's own values: pandas would make floats of whole numbers beside an absent one.
        table = parquet.read_table(file, columns=[name for name in held if name in {column, *reading.of(held)}])
        return held, table.to_pylist()
    if file.suffix == ".csv":
        import pandas as pd

        frame = pd.read_csv(file, dtype=str, keep_default_na=False)
        columns = [str(name) for name in frame.columns]
        return columns, [dict(zip(columns, row, strict=True)) for row in frame.itertuples(index=False)]
    records = [record_of(line, f"{file}, line {number}") for number, line in read_lines(file)]
    return list(dict.fromkeys(name for record in records for name in record)), records
