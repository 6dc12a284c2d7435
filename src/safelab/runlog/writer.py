"""Writes a run directory: a reader, even after a kill, finds whole lines and a whole run.json."""

import fcntl
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from io import FileIO
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from safelab.errors import DataError
from safelab.runlog.schema import (
    CONFIG_FILE,
    EVENTS_FILE,
    LINE_FILES,
    METRICS_FILE,
    OVERRIDES_FILE,
    RUN_FILE,
    SAMPLES_FILE,
    RunInfo,
    plain,
)


class RunWriter:
    """One process's hold on one run directory; closes with ``close()`` or at the end of a ``with`` block."""

    def __init__(self, directory: Path, info: RunInfo, hold: int) -> None:
        self.directory = directory
        self.info = info
        self._hold = hold
        self._files: dict[str, FileIO] = {}

    @classmethod
    def create(cls, directory: Path, config: Mapping[str, Any], overrides: Sequence[str], info: RunInfo) -> "RunWriter":
        """Begin a run in ``directory``; rows that an earlier attempt left there are removed.

        Raises:
            DataError: the directory cannot be made or written, or another process writes there.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True)
            writer = cls(directory, info, _take(directory))
            for name in LINE_FILES:
                (directory / name).unlink(missing_ok=True)
            replace_text(directory / CONFIG_FILE, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))
            replace_text(directory / OVERRIDES_FILE, yaml.safe_dump(list(overrides), allow_unicode=True))
            writer.update_info()
        except OSError as error:
            raise _unwritable(directory, error) from error
        return writer

    @classmethod
    def reopen(cls, directory: Path, next_update: int) -> "RunWriter":
        """Go on with a run: rows of ``next_update`` and later are cut, so that none is there twice.

        Raises:
            DataError: no run is there, it cannot be written, or another process writes there.
        """
        info = read_info(directory)
        try:
            writer = cls(directory, info, _take(directory))
            for name in LINE_FILES:
                _cut(directory / name, next_update)
        except OSError as error:
            raise _unwritable(directory, error) from error
        writer.update_info(last_update=next_update - 1 if next_update > 0 else None)
        return writer

    def row(self, row: Mapping[str, Any]) -> None:
        """Append one update's metrics (``update`` among them) to ``metrics.jsonl``."""
        self._append(METRICS_FILE, row)

    def samples(self, update: int, records: Iterable[Mapping[str, Any]]) -> None:
        """Append what the policy wrote at ``update``: prompt, response, reward and whatever belongs to it."""
        for record in records:
            self._append(SAMPLES_FILE, {"update": update, **record})

    def event(self, event: Mapping[str, Any]) -> None:
        """Append one event (``update`` among its keys) to ``events.jsonl``."""
        self._append(EVENTS_FILE, event)

    def replace_config(self, config: Mapping[str, Any]) -> None:
        """What a run goes on with, where it was allowed to differ."""
        replace_text(self.directory / CONFIG_FILE, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))

    def update_info(self, **changes: Any) -> None:
        """Change ``run.json``: written beside, brought to the disk, renamed."""
        self.info = RunInfo.model_validate({**self.info.model_dump(), **changes})
        replace_text(self.directory / RUN_FILE, json.dumps(plain(self.info.model_dump()), indent=2) + "\n")

    def close(self) -> None:
        """Let go of the directory; what was written stays."""
        for file in self._files.values():
            file.close()
        self._files.clear()
        if self._hold >= 0:
            os.close(self._hold)
            self._hold = -1

    def __enter__(self) -> "RunWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, name: str, record: Mapping[str, Any]) -> None:
        if "update" not in record:
            raise ValueError(f"a line of {name} needs its 'update', got {sorted(record)}")
        if name not in self._files:
            self._files[name] = open(self.directory / name, "ab", buffering=0)  # noqa: SIM115 (closed in close)
        # ASCII: a model may write half a surrogate pair, or a line separator that some readers split at.
        data = (json.dumps(plain(dict(record)), allow_nan=False, separators=(",", ":")) + "\n").encode("ascii")
        if (written := self._files[name].write(data)) != len(data):
            raise OSError(f"{self.directory / name}: {written} of {len(data)} bytes were written; is the disk full?")


def read_info(directory: Path) -> RunInfo:
    """``run.json`` of a run directory.

    Raises:
        DataError: there is none, or it is not one.
    """
    path = directory / RUN_FILE
    try:
        return RunInfo.model_validate_json(path.read_bytes())
    except OSError as error:
        remedy = "give the directory that `safelab train` printed, or one above it"
        raise DataError(f"{directory} must be a run directory with {RUN_FILE} ({error.strerror}); {remedy}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        said = f"{key}: {first['msg']}" if key else first["msg"]
        raise DataError(f"{path} must be a valid run record, got {said}; train that run again") from error


def replace_text(path: Path, text: str) -> None:
    """Write ``text`` beside ``path``, bring it to the disk and rename it, so that ``path`` is never half written."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with open(beside, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def _take(directory: Path) -> int:
    """Lock the directory for this process; the lock ends with the process, however that ends."""
    hold = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(hold, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(hold)
        remedy = "wait for it, or choose another output_dir, arm or seed"
        raise DataError(f"{directory} must have one writer, another process trains there now; {remedy}") from error
    return hold


def _cut(path: Path, next_update: int) -> None:
    """Keep the lines before ``next_update``; a last line without its end was never finished and goes too."""
    if not path.exists():
        return
    kept = []
    for line in path.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n") or _update_of(line) >= next_update:
            break
        kept.append(line.decode("utf-8", errors="backslashreplace"))
    replace_text(path, "".join(kept))


def _update_of(line: bytes) -> int:
    """The update of a line, or -1 for a damaged one, which stays where it is for the reader to name."""
    try:
        return int(json.loads(line)["update"])
    except (ValueError, TypeError, KeyError):
        return -1


def _unwritable(directory: Path, error: OSError) -> DataError:
    return DataError(f"output_dir must be writable, got {directory} ({error.strerror}); choose another output_dir")
