"""Reading a user's file of prompts, with messages that name key, file and line."""

from pathlib import Path

from safelab.errors import DataError


def read_lines(path: str) -> list[tuple[int, str]]:
    """The lines of a text file that are not blank, with their numbers from 1.

    Raises:
        DataError: no such file, not text, or nothing in it.
    """
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"data.path must be UTF-8 text, got {path}: byte {error.start} is not; convert it") from error
    except OSError as error:
        raise DataError(f"data.path must be a readable file, got {path} ({error.strerror})") from error
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not lines:
        raise DataError(f"data.path must hold at least one prompt, got {path} with none")
    return lines
