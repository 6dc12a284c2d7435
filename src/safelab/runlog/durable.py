"""Writing that outlives a bad moment of the disk: tried again a few times, then one clear end."""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from safelab.errors import OutputFailed

T = TypeVar("T")
Say = Callable[[str], None]

TRIES = 4
FIRST_PAUSE_S = 0.5
"""Before the second try; doubles each time, so that a write is given up after 3.5 s."""


def persistently(what: Path, action: Callable[[], T], say: Say) -> T:
    """What ``action`` returns; it may be called again after an OSError, so it must begin from where it began.

    Args:
        what: the file or directory that it writes, for the message.
        action: writes it, whole or not at all.
        say: tells the user of each failed try.

    Raises:
        OutputFailed: the last try failed, too.
    """
    for attempt in range(TRIES):
        try:
            return action()
        except OSError as error:
            reason = error.strerror or str(error)
            if attempt + 1 == TRIES:
                raise OutputFailed(
                    f"{what} could not be written in {TRIES} tries ({reason}); free space or mend the folder, "
                    "and the same command goes on from the last checkpoint"
                ) from error
            pause = FIRST_PAUSE_S * 2**attempt
            say(f"{what} could not be written ({reason}); trying again in {pause:g} s")
            time.sleep(pause)
    raise AssertionError("a loop of at least one try returns or raises")


@contextmanager
def as_os_error(path: Path) -> Iterator[None]:
    """The writers of safetensors and tokenizers raise classes of their own for what is an OSError: it becomes one.

    Raises:
        OSError: the number that their text ends with, as in ``No space left on device (os error 28)``.
    """
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        found = re.search(r"os error (\d+)|Os \{ code: (\d+)", str(error))
        if found is None:
            raise
        number = int(found[1] or found[2])
        raise OSError(number, os.strerror(number), str(path)) from error


def shared(directory: Path) -> None:
    """Give all below ``directory``, itself included, the permissions that the umask leaves to new files.

    The writer of safetensors gives its files to their owner alone, where all around them is for everybody.
    """
    mask = os.umask(0)  # the one way to read it
    os.umask(mask)
    for path in [directory, *directory.rglob("*")]:
        if not path.is_symlink():
            path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)


def flush(path: Path) -> None:
    """Bring a file or directory to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_text(path: Path, text: str) -> None:
    """Write ``text`` beside ``path``, bring it to the disk and rename it, so that ``path`` is never half written."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(beside, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
