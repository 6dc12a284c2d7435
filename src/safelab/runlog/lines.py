"""The lines of a run's files as they lie there: which are whole, which are of which update."""

import json
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from safelab.runlog.schema import METRICS_FILE

Record = Mapping[str, Any]


def rows_before(directory: Path, next_update: int) -> list[Record]:
    """The whole rows of ``metrics.jsonl`` before ``next_update``."""
    return records_before(directory / METRICS_FILE, next_update)


def records_before(path: Path, next_update: int) -> list[Record]:
    """The whole lines of a file before ``next_update``; none where there is no file."""
    _, records = kept(path, lambda record: update_of(record) < next_update)
    return records


def last_update(directory: Path) -> int:
    """The update of the last whole row of ``metrics.jsonl``; -1 if there is none."""
    _, rows = kept(directory / METRICS_FILE, lambda record: True)
    return max(map(update_of, rows), default=-1)


def kept(path: Path, stays: Callable[[Record], bool]) -> tuple[list[str], list[Record]]:
    """The lines for which ``stays`` holds, as text and as records.

    A last line without its end was never finished and goes. A damaged one before the first that goes stays where it is,
    for the reader to name.
    """
    lines: list[str] = []
    records: list[Record] = []
    cut = False
    for line in BytesIO(path.read_bytes()) if path.is_file() else ():  # its lines end at \n only
        record = _record_of(line) if line.endswith(b"\n") else None
        if record is not None and stays(record):
            records.append(record)
        elif record is not None or cut or not line.endswith(b"\n"):
            cut = True
            continue
        lines.append(line.decode("utf-8", errors="backslashreplace"))
    return lines, records


def update_of(record: Record) -> int:
    """The update that a whole line is of."""
    return int(record["update"])


def _record_of(line: bytes) -> Record | None:
    """The object of a line, None for a damaged one."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(record, dict) and type(update := record.get("update")) is int and update >= 0
    return record if whole else None
