"""Whether what a user named may be read and is the file itself: the loaders say "no such file" of one that may not."""

import os
from collections.abc import Iterator
from pathlib import Path

from safelab.errors import DataError


def check_readable(path: str | Path, key: str) -> None:
    """Refuse a file, or a folder with a file in it, that is there and may not be read; a hub name is left alone.

    Args:
        path: what the user gave.
        key: of the configuration that names it, for the message.

    Raises:
        DataError: it may not be read.
    """
    if (closed := next(_closed(Path(path).expanduser()), None)) is not None:
        raise DataError(
            f"{key} must be readable, got {path}: no permission to read {closed}; ask its owner for chmod -R a+rX, "
            "or choose another"
        )


POINTER = b"version https://git-lfs"
"""How the text begins that git leaves in a file's place where git-lfs did not fetch it."""


def pointer_in(path: str | Path) -> Path | None:
    """A git-LFS pointer that lies at ``path`` or in it where a file belongs; None if there is none."""
    whole = Path(path).expanduser()
    files = sorted(whole.iterdir()) if whole.is_dir() else [whole]
    return next((one for one in files if one.is_file() and _begins_with(one, POINTER)), None)


def _begins_with(path: Path, beginning: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(beginning)) == beginning


def _closed(path: Path) -> Iterator[Path]:
    """What may not be read: a folder on the way to ``path``, itself, or a file in it. It need not be there."""
    for above in [*reversed(path.absolute().parents), path]:
        if not _may(above, os.F_OK):
            return  # not there, or behind a folder that was yielded
        if not _may(above, os.X_OK if above != path else os.R_OK):
            yield above
    if path.is_dir():
        if not _may(path, os.X_OK):
            yield path
        yield from (one for one in sorted(path.iterdir()) if one.is_file() and not _may(one, os.R_OK))


def _may(path: Path, what: int) -> bool:
    """``os.access`` for whom the process acts as, where the system can tell."""
    return os.access(path, what, effective_ids=os.access in os.supports_effective_ids)
