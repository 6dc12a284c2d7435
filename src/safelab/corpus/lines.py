"""Reading a user's file of prompts or pairs, with messages that name key, file and line."""

import gzip
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safelab.errors import DataError, lines_of


def read_lines(path: str | Path, key: str = "data.path") -> list[tuple[int, str]]:
    """The lines of a text file, gzipped or not, that are not blank, with their numbers from 1.

    A line ends at ``\\n`` or ``\\r\\n`` and nowhere else; a byte-order mark is no text.

    Args:
        path: of the file.
        key: of the configuration that names it, for messages.

    Raises:
        DataError: no such file, not text, or nothing in it.
    """
    try:
        content = Path(path).read_bytes()
        text = (gzip.decompress(content) if Path(path).suffix == ".gz" else content).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{key} must be UTF-8 text, got {path}: byte {error.start} is not; convert it") from error
    except (OSError, EOFError, zlib.error, ValueError) as error:  # the last: a name that no file can have
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{key} must be a readable file, got {path} ({reason})") from error
    lines = [(number, line.strip()) for number, line in enumerate(lines_of(text), start=1) if line.strip()]
    if not lines:
        raise DataError(f"{key} must hold at least one record, got {path} with none")
    return lines


def record_of(line: str, where: str, key: str = "data.path") -> dict[str, Any]:
    """The JSON object of one line.

    Raises:
        DataError: it is none; with ``where``, the file and the line's number.
    """
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise DataError(f"{where}: {key} must hold one JSON object per line, got {line[:60]!r} ({reason})") from error
    if not isinstance(record, dict):
        kind = {list: "an array", str: "a text", type(None): "null"}.get(type(record), "a number or truth value")
        raise DataError(f"{where}: {key} must hold one JSON object per line, got {kind}: {line[:60]!r}")
    return record


def texts_of(record: dict[str, Any], fields: Sequence[str], where: str) -> list[str]:
    """What a record holds under ``fields``.

    Raises:
        DataError: a field is absent or no text, or one with half a character (a lone surrogate).
    """
    if any(field not in record for field in fields):
        held = ", ".join(record) or "nothing"
        raise DataError(f"{where}: a record must have the texts {', '.join(fields)}; this record holds: {held:.80}")
    for field in fields:
        if not isinstance(record[field], str):
            raise DataError(f"{where}: {field} must be text, got {record[field]!r:.60}")
        whole_text(record[field], f"{where}: {field}")
    return [record[field] for field in fields]


def whole_text(text: str, where: str) -> str:
    """``text`` itself.

    Raises:
        DataError: it has half a character in it, which JSON can write (``\\ud83d``) and no tokenizer can read.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{where} must be text of whole characters, got half of one (a lone surrogate, {text[error.start]!r}) at "
            f"place {error.start}: mend that record"
        ) from error
    return text
