"""Reading a user's file of prompts or pairs, with messages that name key, file and line."""

from pathlib import Path

from safelab.errors import DataError


def read_lines(path: str, key: str = "data.path") -> list[tuple[int, str]]:
    """The lines of a text file that are not blank, with their numbers from 1.

    Args:
        path: of the file.
        key: of the configuration that names it, for messages.

    Raises:
        DataError: no such file, not text, or nothing in it.
    """
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{key} must be UTF-8 text, got {path}: byte {error.start} is not; convert it") from error
    except OSError as error:
        raise DataError(f"{key} must be a readable file, got {path} ({error.strerror})") from error
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not lines:
        raise DataError(f"{key} must hold at least one record, got {path} with none")
    return lines
