"""One owner at a time of a directory: filelock's lock, and a file that says whose it is.

filelock does the locking (an exclusive ``flock``, which the kernel drops when the process ends, however it ends, and
which forked children do not inherit). Two things are added: the lock's file names its owner, for the message that
refuses a second one, and it is removed on release, where filelock would leave an empty file behind.
"""

import fcntl
import json
import os
import platform
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from safelab.errors import DataError

LOCK_FILE = ".lock"

PATIENCE_S = 0.1
"""A lock that is being released at this moment is tried again; one that is held is not waited for."""


class Lock:
    """Held from ``take`` to ``release``, or to the end of the process; what it says of a dead owner is overwritten."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: os.stat_result | None = None
        # fallback_to_soft=False: a file system without locks is an error, not a reason to trust a file's existence.
        self._lock = FileLock(path, thread_local=False, fallback_to_soft=False, on_acquired=self._sign)

    @classmethod
    def take(cls, directory: Path, remedy: str) -> "Lock":
        """Lock ``directory``, which exists; ``remedy`` is what the user can do where somebody has it.

        Raises:
            DataError: another process has it, named by its number and host.
            OSError: the file cannot be made, or the file system knows no locks.
        """
        lock = cls(directory / LOCK_FILE)
        try:
            lock._lock.acquire(timeout=PATIENCE_S, poll_interval=PATIENCE_S / 10)
        except Timeout as error:
            owner = _owner(lock._path)
            said = f"{directory} must have one writer at a time, {owner} has it now; {remedy}"
            raise DataError(said) from error
        return lock

    def release(self) -> None:
        """Let go, once; nothing of the lock stays behind."""
        # The file goes while it is still locked: who opened it meanwhile sees, once it has the lock, that it is gone.
        with suppress(OSError):  # a folder that has become read-only keeps a file that nobody holds
            if self._file is not None and os.path.samestat(self._path.stat(), self._file):
                self._path.unlink()
        self._file = None
        self._lock.release()

    def _sign(self, descriptor: int) -> None:
        """Write the owner into the file, of which filelock lends the descriptor."""
        owner = {"pid": os.getpid(), "host": platform.node(), "since": datetime.now(UTC).isoformat()[:19]}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(owner).encode(), 0)
        self._file = os.fstat(descriptor)


def is_held(directory: Path) -> bool:
    """Whether a process, here or on another machine, holds the lock of ``directory``; nothing is changed."""
    try:
        descriptor = os.open(directory / LOCK_FILE, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _owner(path: Path) -> str:
    """``process 12 on host a since 2026-01-01T00:00:00``."""
    try:
        owner = json.loads(path.read_bytes())
        return f"process {int(owner['pid'])} on {owner['host']!r} (since {owner['since']} UTC)"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"  # it has not written its name yet
