"""One owner at a time of a directory: a lock that ends with its process, and a file that says whose it is."""

import fcntl
import json
import os
import platform
from contextlib import suppress
from datetime import UTC, datetime
from errno import EACCES, EAGAIN
from pathlib import Path

from safelab.errors import DataError

LOCK_FILE = ".lock"


class Lock:
    """Held from ``take`` to ``release``, or to the end of the process, however that ends.

    The file is locked for writing, which network file systems want; what it says of a dead owner is overwritten.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def take(cls, directory: Path, remedy: str) -> "Lock":
        """Lock ``directory``, which exists; ``remedy`` is what the user can do where somebody has it.

        Raises:
            DataError: another process has it, named by its number and host.
            OSError: the file cannot be made, or the file system knows no locks.
        """
        path = directory / LOCK_FILE
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not _is(path, descriptor):  # its owner removed it between our opening and our locking
                    os.close(descriptor)
                    continue
                owner = {"pid": os.getpid(), "host": platform.node(), "since": datetime.now(UTC).isoformat()[:19]}
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps(owner).encode(), 0)
            except OSError as error:
                held = error.errno in (EAGAIN, EACCES)
                owner_named = _owner(descriptor) if held else ""
                os.close(descriptor)
                if not held:
                    raise
                said = f"{directory} must have one writer at a time, {owner_named} has it now; {remedy}"
                raise DataError(said) from error
            return cls(path, descriptor)

    def release(self) -> None:
        """Let go, once; nothing of the lock stays behind."""
        if self._descriptor < 0:
            return
        if _is(self._path, self._descriptor):
            with suppress(OSError):  # a folder that has become read-only keeps a file that nobody holds
                self._path.unlink()
        os.close(self._descriptor)
        self._descriptor = -1


def _is(path: Path, descriptor: int) -> bool:
    """Whether the open file is the one that bears the name."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except OSError:
        return False


def _owner(descriptor: int) -> str:
    """``process 12 on host a since 2026-01-01T00:00:00``."""
    try:
        owner = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {int(owner['pid'])} on {owner['host']!r} (since {owner['since']} UTC)"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"  # it has not written its name yet
