"""How a file of a run directory is read when a stranger may have written it: never a pipe, never without a bound."""

import errno
import math
import os
import stat
from pathlib import Path
from typing import Any

import yaml

SMALL = 4 * 2**20
"""Bytes up to which ``run.json``, ``config.yaml`` and ``overrides.yaml`` are read; ours are a thousandth of it."""

DEEPEST = 64
"""Levels of a YAML file. The parser written in C has no bound of its own, and ends the process at some ten thousand."""

EXACT = 2**53
"""Whole numbers up to here are the same as floats; a count beyond it is none."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def finite(value: object) -> float | None:
    """A JSON value as a finite float, or None: text, a list, NaN, or a whole number of four hundred digits."""
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def read_regular(path: Path, most: int | None = None) -> bytes:
    """The bytes of a regular file; a pipe, a socket or a device, which may never end, is not waited for.

    Args:
        path: the file; a link is followed.
        most: bytes that it may hold; None: any number.

    Raises:
        OSError: it cannot be read, is no regular file, or is larger.
    """
    # Without O_NONBLOCK the opening of a pipe waits for somebody to write into it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        if most is not None and about.st_size > most:
            raise OSError(errno.EFBIG, f"it has {about.st_size} bytes, and may have {most}", str(path))
        return file.read() if most is None else file.read(most)


def read_yaml(path: Path) -> Any:
    """A small YAML file as plain JSON values: what JSON has no word for (dates, bytes, huge numbers) becomes text.

    Raises:
        OSError: see ``read_regular``.
        ValueError: it is not YAML, repeats a part by an alias (ours never do, and a few lines of them stand for any
            number of values), or is nested too deeply.
    """
    content = read_regular(path, SMALL)
    try:
        _check(content)
        return _plain(yaml.load(content, Loader=_LOADER))  # a safe loader: it makes values, no objects
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # an impossible date is a ValueError of the loader
        raise ValueError(f"is not YAML as runs write it: {' '.join(str(error).split())[:120]}") from error


def _check(content: bytes) -> None:
    """Raise for an alias or too many levels, before anything is built."""
    depth = 0
    for event in yaml.parse(content, Loader=_LOADER):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"it repeats a part by the alias *{event.anchor}")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"it has more than {DEEPEST} levels")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, int) and abs(value) >= 2**64:
        return hex(value)  # a decimal of any length cannot be printed
    return value if isinstance(value, str | int | float) or value is None else str(value)
