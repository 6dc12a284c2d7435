"""Rows of long runs as they were parsed last time: JSON lines take fifty times as long to read as these.

One file per run directory, named by a hash of its path and valid for one size and time of ``metrics.jsonl``; a file
that fits no more, or cannot be read, is made again. Short runs are not kept: parsing them takes no time.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from pyarrow import feather

VERSION = 3
"""Of the layout below and of the names in it; one more whenever either changes."""
WORTH_KEEPING = 256 * 1024
"""Bytes of ``metrics.jsonl`` from which on the parsed rows are kept."""
KEY = b"safelab"


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One thing that could not be read. ``line`` counts from 1; 0 is the file as a whole."""

    file: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What ``metrics.jsonl`` holds: one row per update, what was damaged, and how often each metric was not finite."""

    frame: pd.DataFrame
    damaged: Sequence[Damage]
    non_finite: Mapping[str, int]


def remembered(source: Path, cache: Path | None, parse: Callable[[], Parsed]) -> Parsed:
    """What ``parse`` gives for ``source``, from ``cache`` if that holds it for the file as it is now."""
    try:
        stat = source.stat()
    except OSError:
        return parse()
    if cache is None or stat.st_size < WORTH_KEEPING:
        return parse()
    place = cache / f"{hashlib.blake2b(str(source.resolve()).encode(), digest_size=12).hexdigest()}.arrow"
    stamp = {"version": VERSION, "size": stat.st_size, "modified_ns": stat.st_mtime_ns}
    found = _read(place, stamp)
    if found is None:
        found = parse()
        _write(place, stamp, found)
    return found


def _read(place: Path, stamp: Mapping[str, int]) -> Parsed | None:
    try:
        table = feather.read_table(place)
    except (OSError, pa.ArrowInvalid):
        return None
    about: dict[str, Any] = json.loads((table.schema.metadata or {}).get(KEY, b"{}"))
    if about.get("stamp") != stamp:
        return None
    frame = table.replace_schema_metadata(None).to_pandas()
    return Parsed(
        # ``astype`` copies everything, even for nothing.
        frame=frame.astype(dict.fromkeys(about["text"], object)) if about["text"] else frame,
        damaged=[Damage(**each) for each in about["damaged"]],
        non_finite=about["non_finite"],
    )


def _write(place: Path, stamp: Mapping[str, int], parsed: Parsed) -> None:
    about = {
        "stamp": stamp,
        "text": [str(name) for name in parsed.frame if parsed.frame[name].dtype == object],
        "damaged": [asdict(each) for each in parsed.damaged],
        "non_finite": dict(parsed.non_finite),
    }
    table = pa.Table.from_pandas(parsed.frame, preserve_index=False)
    table = table.replace_schema_metadata({KEY: json.dumps(about).encode()})
    beside = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        feather.write_feather(table, str(beside), compression="uncompressed")
        beside.replace(place)
    except OSError:
        # A cache that cannot be written costs time and nothing else; the numbers come from the run.
        with suppress(OSError):
            beside.unlink()
