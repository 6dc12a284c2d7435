"""Which runs a report is about, and what makes two of them one arm: ``--where`` and ``--by``."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from safelab.errors import DataError, nearest
from safelab.runlog.flat import leaves
from safelab.runlog.reader import RunRecord

ABSENT = "–"
"""What a run has under a key that it lacks."""

OF_THE_RUN = ("arm", "seed", "experiment", "status", "host", "device", "git_commit")
"""Keys that ``run.json`` answers; the others are looked up in the overrides, then in the configuration."""


def settings(record: RunRecord) -> Mapping[str, str]:
    """Every key by which a run can be chosen, with its value as text.

    A group of the configuration (``critic``) has the value of its ``name``; an override, written with or without
    ``+``, comes before the configuration, which does not hold ``algorithm`` or ``change``.
    """
    flat = as_text(record.config)
    groups = {key.removesuffix(".name"): value for key, value in flat.items() if key.endswith(".name")}
    given = [text.lstrip("+").partition("=") for text in (record.info.overrides or record.overrides)]
    overrides = {key.replace("/", "."): value for key, mark, value in given if mark}
    own = {key: str(getattr(record.info, key)) for key in OF_THE_RUN}
    return {**flat, **groups, **overrides, **own}


def where(records: Sequence[RunRecord], conditions: Sequence[str]) -> list[RunRecord]:
    """The runs for which every condition ``key=value[,value...]`` holds; a value may have ``*`` and ``?`` in it.

    Raises:
        DataError: a condition is none, no run has its key, or no run is left.
    """
    kept = list(records)
    for condition in conditions:
        key, mark, values = condition.partition("=")
        if not (key and mark and values):
            raise DataError(f"--where must be KEY=VALUE[,VALUE...], got {condition!r}; for example algorithm=safe,ppo")
        _known(key, records, "--where")
        patterns = values.split(",")
        kept = [record for record in kept if _matches(settings(record).get(key, ABSENT), patterns)]
        if not kept:
            there = ", ".join(sorted({settings(record).get(key, ABSENT) for record in records})[:12])
            raise DataError(f"--where {condition} leaves no run; {key} has the values {there}")
    return kept


def arms_by(records: Sequence[RunRecord], keys: Sequence[str]) -> list[str]:
    """The arm of each run, named by what it has under ``keys``: ``safe``, or ``safe,no_gate,critic.heads=2`` for three.

    Raises:
        DataError: no run has a key, or runs of one seed that were trained as different arms would become one.
    """
    for key in keys:
        _known(key, records, "--by")
    found = [[settings(record).get(key, ABSENT) for key in keys] for record in records]
    names = [
        ",".join(_named(key, value, alone=len(keys) == 1) for key, value in zip(keys, values, strict=True))
        for values in found
    ]
    trained_as: dict[tuple[str, int], str] = {}
    for name, record in zip(names, records, strict=True):
        first = trained_as.setdefault((name, record.info.seed), record.info.arm)
        if first != record.info.arm:
            raise DataError(
                f"--by {','.join(keys)} must tell the arms apart, and makes one, {name}, of {first} and "
                f"{record.info.arm} (seed {record.info.seed}); add a key, or leave runs out with --where"
            )
    return names


def _named(key: str, value: str, alone: bool) -> str:
    """A value that is a name speaks for itself; a number among others needs its key."""
    return value if alone or (value[:1].isalpha() and value not in ("True", "False", "null")) else f"{key}={value}"


def _matches(value: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(value, pattern) for pattern in patterns)


def _known(key: str, records: Sequence[RunRecord], flag: str) -> None:
    known = {name for record in records for name in settings(record)}
    if key not in known:
        raise DataError(f"{flag} must name a key that a run has, got {key!r}; {nearest(key, sorted(known))}")


def as_text(config: Mapping[str, Any]) -> dict[str, str]:
    """Dotted keys, every value as text."""
    return {key: "null" if value is None else str(value) for key, value in leaves(config).items()}
