"""Directories that are made once, by one process, and used by all.

A directory's name holds a hash of all that decides its content. It is made beside its place and renamed when whole,
so that what stands in its place is never half-made; ``manifest.json`` inside says what it was made of.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from safelab.errors import ConfigError, OutputFailed
from safelab.pretrained.readable import check_readable
from safelab.runlog.durable import as_os_error, shared

MANIFEST = "manifest.json"
KEY_LENGTH = 16

Make = Callable[[Path], Mapping[str, Any]]


def cached(cache: Path, kind: str, parts: Mapping[str, Any], make: Make, progress: Callable[[str], None]) -> Path:
    """The directory ``<cache>/<kind>-<hash of parts>``, made first if need be.

    Args:
        cache: where such directories are kept.
        kind: what it is, in words joined by ``_``.
        parts: all that decides the content, as JSON can hold it.
        make: fills an empty directory and returns what it measured, for the manifest.
        progress: is told when another process is at it, and when this one is done.

    Raises:
        ConfigError: the cache cannot be made or entered.
        DataError: it may not be read.
        OutputFailed: it cannot be written, its disk being full perhaps.
    """
    place = cache / f"{kind}-{key_of(parts)}"
    check_readable(place, "the cache directory")
    if is_made(place):
        return place
    try:
        return _made(cache, place, kind, parts, make, progress)
    except OSError as error:
        raise OutputFailed(
            f"the cache directory {cache} could not be written ({error.strerror or error}); free space there, or name "
            "another with SAFELAB_CACHE"
        ) from error


def _made(
    cache: Path, place: Path, kind: str, parts: Mapping[str, Any], make: Make, progress: Callable[[str], None]
) -> Path:
    """``place``, made by this process or by another that is at it."""
    title = kind.replace("_", " ")
    lock = _lock(cache, place)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress(f"{title}: another process is making it, waiting")
        lock.acquire()
    try:
        if not is_made(place):
            _make(place, kind, parts, make)
            progress(f"{title}: made, kept in {place}")
    finally:
        lock.release()
    return place


def key_of(parts: Mapping[str, Any]) -> str:
    """Hash of ``parts``; the order of keys does not matter."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.blake2b(text.encode()).hexdigest()[:KEY_LENGTH]


def is_made(place: Path) -> bool:
    """Whether the directory is there and whole: the manifest is the last file written to it."""
    return (place / MANIFEST).is_file()


def read_manifest(place: Path) -> dict[str, Any]:
    """``kind``, ``parts``, ``measured`` and ``made`` (ISO 8601, UTC) of a directory in the cache."""
    manifest: dict[str, Any] = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
    return manifest


def _lock(cache: Path, place: Path) -> FileLock:
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(cache, error) from error
    if not os.access(cache, os.W_OK | os.X_OK):
        raise _unwritable(cache, PermissionError("no permission"))
    return FileLock(place.with_name(f"{place.name}.lock"))


def _make(place: Path, kind: str, parts: Mapping[str, Any], make: Make) -> None:
    """Only the holder of the lock comes here: what lies beside or in the place is a dead process's."""
    beside = place.with_name(f"{place.name}.making")
    for leftover in (beside, place):
        if leftover.exists():
            shutil.rmtree(leftover)
    beside.mkdir()
    try:
        with as_os_error(beside):
            measured = make(beside)
        manifest = {"kind": kind, "parts": parts, "measured": measured, "made": datetime.now(UTC).isoformat()}
        (beside / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        shared(beside)
        beside.rename(place)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _unwritable(cache: Path, error: OSError) -> ConfigError:
    reason = error.strerror or str(error)
    return ConfigError(f"the cache directory must be one that can be written, got {str(cache)!r} ({reason})")
