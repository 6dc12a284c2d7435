"""Writes a run directory: a reader, even after a kill, finds whole lines and a whole run.json."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from errno import ENOENT, ENOSPC
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from safelab.errors import DataError
from safelab.runlog.durable import Say, persistently, replace_text
from safelab.runlog.files import SMALL, read_regular
from safelab.runlog.lines import kept, update_of
from safelab.runlog.lock import Lock
from safelab.runlog.schema import (
    CONFIG_FILE,
    EVALUATION_FILE,
    EVENTS_FILE,
    INPUTS_FILE,
    LASTING,
    LINE_FILES,
    METRICS_FILE,
    OVERRIDES_FILE,
    ROLLBACK,
    RUN_FILE,
    SAMPLES_FILE,
    RunInfo,
    plain,
)

OTHER_PLACE = "wait for it, or choose another output_dir, arm or seed"


def take(directory: Path) -> Lock:
    """Make the run's directory ours, and remove what an earlier owner left half written.

    Raises:
        DataError: it cannot be made or written, or another process writes there.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = Lock.take(directory, OTHER_PLACE)
        for name in (CONFIG_FILE, OVERRIDES_FILE, RUN_FILE, INPUTS_FILE, *LINE_FILES):
            for beside in directory.glob(f".{name}.*"):
                beside.unlink()
    except OSError as error:
        raise _unwritable(directory, error) from error
    return lock


class RunWriter:
    """One process's hold on one run directory; closes with ``close()`` or at the end of a ``with`` block.

    What cannot be written is tried again a few times; then its methods raise ``OutputFailed``, and what was there
    before is there still.
    """

    def __init__(self, directory: Path, info: RunInfo, lock: Lock, say: Say) -> None:
        self.directory = directory
        self.info = info
        self._lock = lock
        self._say = say
        self._files: dict[str, FileIO] = {}
        self._sizes: dict[str, int] = {}

    @classmethod
    def create(
        cls,
        directory: Path,
        config: Mapping[str, Any],
        overrides: Sequence[str],
        info: RunInfo,
        lock: Lock | None = None,
        say: Say = lambda text: None,
    ) -> "RunWriter":
        """Begin a run in ``directory``; rows and evaluation that an earlier attempt left there are removed.

        Args:
            directory: made if it is not there.
            config: resolved.
            overrides: what the command line changed.
            info: of the run that begins.
            lock: ours already, as ``take`` gave it; None: it is taken here.
            say: tells the user of a write that failed and is tried again.

        Raises:
            DataError: the directory cannot be made or written, or another process writes there.
        """
        writer = cls(directory, info, take(directory) if lock is None else lock, say)
        try:
            for name in (*LINE_FILES, EVALUATION_FILE):
                (directory / name).unlink(missing_ok=True)
            replace_text(directory / CONFIG_FILE, _yaml(dict(config)))
            replace_text(directory / OVERRIDES_FILE, _yaml(list(overrides)))
            replace_text(directory / RUN_FILE, _record(info))
        except OSError as error:
            writer.close()
            raise _unwritable(directory, error) from error
        return writer

    @classmethod
    def reopen(
        cls,
        directory: Path,
        next_update: int,
        rollbacks: Sequence[Mapping[str, Any]] = (),
        lock: Lock | None = None,
        say: Say = lambda text: None,
    ) -> "RunWriter":
        """Go on with a run, cut as ``rewind`` does.

        Raises:
            DataError: no run is there, it cannot be written, or another process writes there.
        """
        info = read_info(directory)
        writer = cls(directory, info, take(directory) if lock is None else lock, say)
        try:
            writer._rewind(next_update, rollbacks)
        except OSError as error:
            writer.close()
            raise _unwritable(directory, error) from error
        writer.update_info(last_update=next_update - 1 if next_update > 0 else None)
        return writer

    def rewind(self, next_update: int, rollbacks: Sequence[Mapping[str, Any]]) -> None:
        """Cut the lines of ``next_update`` and later, so that none is there twice.

        ``rollbacks`` are the events of this kind that the run's state counts, each with its ``number``: those that are
        not in ``events.jsonl`` are added, others are removed, so that a kill at any moment leaves neither too many.
        """
        persistently(self.directory, partial(self._rewind, next_update, rollbacks), self._say)
        self.update_info(last_update=next_update - 1 if next_update > 0 else None)

    def forget_samples(self, update: int) -> None:
        """Remove what was written down of ``update`` because it was the last, where the run goes on beyond it."""
        path = self.directory / SAMPLES_FILE
        others, _ = kept(path, lambda record: update_of(record) != update)
        if path.exists():
            self._close_files()
            self.text(SAMPLES_FILE, "".join(others))

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

    def sync(self) -> None:
        """Bring every line to the disk: a checkpoint must not outlive the rows before it."""
        for name, file in self._files.items():
            persistently(self.directory / name, partial(os.fsync, file.fileno()), self._say)

    def text(self, name: str, text: str) -> None:
        """Write a file of the run's directory, whole."""
        persistently(self.directory / name, partial(replace_text, self.directory / name, text), self._say)

    def replace_config(self, config: Mapping[str, Any]) -> None:
        """What a run goes on with, where it was allowed to differ."""
        self.text(CONFIG_FILE, _yaml(dict(config)))

    def update_info(self, **changes: Any) -> None:
        """Change ``run.json``: written beside, brought to the disk, renamed."""
        self.info = RunInfo.model_validate({**self.info.model_dump(), **changes})
        self.text(RUN_FILE, _record(self.info))

    def close(self) -> None:
        """Let go of the directory; what was written stays."""
        self._close_files()
        self._lock.release()

    def __enter__(self) -> "RunWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _close_files(self) -> None:
        for file in self._files.values():
            with suppress(OSError):  # unbuffered: nothing is written here that could be lost
                file.close()
        self._files.clear()

    def _append(self, name: str, record: Mapping[str, Any]) -> None:
        if "update" not in record:
            raise ValueError(f"a line of {name} needs its 'update', got {sorted(record)}")
        persistently(self.directory / name, partial(self._write, name, _line(record)), self._say)

    def _write(self, name: str, line: str) -> None:
        """Append a line, whole or not at all; a file that is no longer the one we began is an error, not a fresh start.

        Raises:
            OSError: it cannot be written.
        """
        path, data = self.directory / name, line.encode("ascii")
        if name not in self._files:
            self._files[name] = open(path, "ab", buffering=0)  # noqa: SIM115 (closed in close)
            self._sizes[name] = path.stat().st_size
        file, size = self._files[name], self._sizes[name]
        if not os.path.samestat(path.stat(), here := os.fstat(file.fileno())) or here.st_size < size:
            raise OSError(ENOENT, "it was removed, cut or replaced by another program")
        if here.st_size > size:
            file.truncate(size)  # what a failed try left
        if (written := file.write(data)) != len(data):
            raise OSError(ENOSPC, f"{written} of {len(data)} bytes were written; is the disk full?")
        self._sizes[name] = size + len(data)

    def _rewind(self, next_update: int, rollbacks: Sequence[Mapping[str, Any]]) -> None:
        numbered = [event["number"] for event in rollbacks]

        def stays(record: Mapping[str, Any]) -> bool:
            if record.get("kind") == ROLLBACK:
                return record.get("number") in numbered
            return record.get("kind") in LASTING or update_of(record) < next_update

        self._close_files()
        for name in LINE_FILES:
            there, records = kept(self.directory / name, stays)
            told = [record["number"] for record in records if record.get("kind") == ROLLBACK]
            missing = [event for event in rollbacks if name == EVENTS_FILE and event["number"] not in told]
            text = "".join([*there, *map(_line, missing)])
            if text or (self.directory / name).exists():
                replace_text(self.directory / name, text)


def read_info(directory: Path) -> RunInfo:
    """``run.json`` of a run directory.

    Raises:
        DataError: there is none, or it is not one.
    """
    path = directory / RUN_FILE
    try:
        return RunInfo.model_validate_json(read_regular(path, SMALL))
    except OSError as error:
        remedy = "give the directory that `safelab train` printed, or one above it"
        raise DataError(f"{directory} must be a run directory with {RUN_FILE} ({error.strerror}); {remedy}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        said = f"{key}: {first['msg']}" if key else first["msg"]
        raise DataError(f"{path} must be a valid run record, got {said}; train that run again") from error


def _line(record: Mapping[str, Any]) -> str:
    # ASCII: a model may write half a surrogate pair, or a line separator that some readers split at.
    return json.dumps(plain(dict(record)), allow_nan=False, separators=(",", ":")) + "\n"


def _record(info: RunInfo) -> str:
    return json.dumps(plain(info.model_dump()), indent=2) + "\n"


def _yaml(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Without aliases: what is there twice is written twice, and the reader takes none."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _unwritable(directory: Path, error: OSError) -> DataError:
    return DataError(f"output_dir must be writable, got {directory} ({error.strerror}); choose another output_dir")
