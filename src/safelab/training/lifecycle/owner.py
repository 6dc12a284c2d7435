"""Whose a checkpoint is: weights of another seed or arm have the same shapes, and would go on without a word."""

import json
from pathlib import Path
from secrets import token_hex
from typing import Any

from safelab.errors import DataError
from safelab.runlog.schema import RunInfo
from safelab.training.lifecycle.checkpoint import RUN

KEYS = ("experiment", "arm", "seed", "id")


def new_id() -> str:
    """A name that no other run has."""
    return token_hex(6)


def owner_of(info: RunInfo) -> dict[str, Any]:
    """What a checkpoint of this run says of it."""
    return {key: getattr(info, key) for key in KEYS}


def check_owner(path: Path, info: RunInfo) -> None:
    """Refuse the whole checkpoint ``path`` where it says that it belongs to another run than ``info``.

    One that says nothing is older than these words, and is taken; so is any by a run that has no id yet, if the names
    agree.

    Raises:
        DataError: it is another run's.
    """
    state = json.loads((path / "state.json").read_text(encoding="utf-8"))
    theirs, ours = state.get(RUN) or {}, owner_of(info)
    if any(theirs.get(key, ours[key]) != ours[key] for key in KEYS if ours[key] != ""):
        raise DataError(
            f"{path} must be a checkpoint of this run ({_words(ours)}), and was written by another "
            f"({_words({**ours, **theirs})}); put the run's own back, or move this one away"
        )


def _words(owner: dict[str, Any]) -> str:
    return ", ".join(f"{key} {owner[key]}" for key in KEYS if owner[key] != "")
