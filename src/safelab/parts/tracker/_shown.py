"""What every mirror shows of a run: its numbers, what it was told, and an id that a resumed run keeps."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from safelab.runlog.schema import NON_FINITE


def numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """The row's numbers but its ``update``; what is not finite is text in a row that was read back."""
    found = {key: float(value) if value in NON_FINITE else value for key, value in row.items() if key != "update"}
    return {key: float(value) for key, value in found.items() if isinstance(value, bool | int | float)}


def title(run: Mapping[str, Any]) -> str:
    """What a run is called in a list of runs."""
    return f"{run['arm']} seed {run['seed']}"


def told(config: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration, and beside it the versions, the commit and the command that made the run."""
    about = {key: run[key] for key in ("git_commit", "versions", "command", "host", "device") if key in run}
    return {**config, "run": about}


def columns(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys of samples, in their order; ``update`` is the step they are shown at."""
    return [key for key in dict.fromkeys(key for record in records for key in record) if key != "update"]


def run_id(run: Mapping[str, Any]) -> str:
    """The same for a run and its continuation, another for any other run."""
    parts = "\n".join(str(run[key]) for key in ("experiment", "arm", "seed", "started"))
    return hashlib.blake2b(parts.encode(), digest_size=8).hexdigest()
