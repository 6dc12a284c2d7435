"""What an arm is called where nobody has named it: its algorithm, and what sets it apart.

A single run is told apart by all that the command line changes, the arms of a sweep by what differs between its jobs:
``-m algorithm=safe,ppo policy=local policy.path=sft`` makes ``safe`` and ``ppo``. What all jobs share stands in each
run's configuration.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from safelab.runlog.keys import makes_no_arm

PRESETS = ("sweep", "recipe")
"""Groups whose options are whole experiments, and name a folder of their own."""

LONGEST_FOLDER = 255
"""Bytes that file systems allow."""

LONGEST_ARM = 80
"""Characters of a name that is made here: reports want names that can be read."""

SOURCES = (".path", ".name")
"""Ends of keys that say where a part comes from: more than which option of its group it is."""

Labels = Mapping[str, Mapping[str, str]]
"""Key -> value as text -> what a name shows of it."""


def arm_name(base: str | None, overrides: Sequence[str], labels: Labels | None = None) -> str:
    """The algorithm or arm and what changes it, as one folder name: ``safe,controller-gate=none``.

    The order of the overrides does not matter, nor how a number is written; of a path its last part is shown, under the
    name of its group. A name that is too long, or that lost a character which no folder should have, ends in a hash of
    the whole.

    Args:
        base: the algorithm, or the arm of a sweep's file.
        overrides: what changes it.
        labels: of values that the last part of a path would not tell apart; see ``swept``.
    """
    parts = {}
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        if (key := key_of(override)) is not None:
            parts[key] = override
    keys = sorted(parts, key=lambda key: (not key.endswith(SOURCES), key))  # the most telling first
    shown = [f"{_short(key)}={_shown(parts[key], (labels or {}).get(key, {}))}" for key in keys]
    short = ",".join([base or "none", *shown])
    safe = re.sub(r"[^A-Za-z0-9._,=+@~-]+", "_", short)
    if safe == short and len(safe) <= LONGEST_ARM:
        return safe
    digest = hashlib.blake2b(short.encode(), digest_size=4).hexdigest()
    return f"{safe[: LONGEST_ARM - 9]}~{digest}"


def key_of(override: Override) -> str | None:
    """The key as a name shows it; None where the override makes no other arm."""
    key = override.get_key_element().lstrip("+")
    return None if makes_no_arm(key) or override.is_hydra_override() or key in PRESETS else key


def key_in(text: str, labels: Labels) -> bool:
    """Whether an override sets one of the keys in ``labels``."""
    return text.split("=")[0].lstrip("+") in labels


def swept(told: Sequence[Override]) -> Labels:
    """What a sweep is told several values of and so is in its arms' names; nothing where it has one arm.

    Values that are paths with one last part are shown with as much of their folders as tells them apart.
    """
    found: dict[str, Mapping[str, str]] = {}
    for override in told:
        key = key_of(override)
        if key is not None and override.is_sweep_override():
            finite = override.is_discrete_sweep()
            found[key] = _apart([_bare(text) for text in override.sweep_string_iterator()]) if finite else {}
    return found


def without_implied(overrides: Sequence[str]) -> list[str]:
    """``overrides`` less the options of groups that are told their ``path`` or ``name``, too: these say enough."""
    keys = [text.split("=")[0].lstrip("+") for text in overrides]
    return [
        text
        for key, text in zip(keys, overrides, strict=True)
        if not {f"{key}{end}" for end in SOURCES}.intersection(keys)
    ]


def folder_fault(key: str, value: Any) -> str | None:
    """Why ``value`` cannot be the name of a folder, if so."""
    if not isinstance(value, str) or not value or value in (".", "..") or re.search(r"[/\\\x00-\x1f]", value):
        return f"{key} must be the name of one folder (text without slashes), got {value!r}"
    if len(value.encode()) > LONGEST_FOLDER:
        return f"{key} must be at most {LONGEST_FOLDER} bytes long, got {len(value.encode())}"
    return None


def _short(key: str) -> str:
    """A key as a folder's name has it: ``policy.path`` as ``policy``, ``controller/gate`` as ``controller-gate``."""
    return (key.rpartition(".")[0] if key.endswith(SOURCES) else key).replace("/", "-")


def _shown(override: Override, labels: Mapping[str, str]) -> str:
    """The value as the configuration will hold it, so that 1e-4 and 0.0001 are one."""
    value = override.value()
    if isinstance(value, str):
        return labels.get(value, PurePath(value).name or value).replace(":", ".")
    if isinstance(value, dict | list):
        return override.get_value_element_as_str()
    return "deleted" if override.is_delete() and value is None else str(value).lower()


def _bare(text: str) -> str:
    """A value as it will be read, without its quotes."""
    value = OverridesParser.create().parse_override(f"key={text}").value()
    return value if isinstance(value, str) else text


def _apart(values: Sequence[str]) -> dict[str, str]:
    """For each path among ``values`` its fewest last parts that no other has; nothing where the last one serves."""
    different = dict.fromkeys(values)
    folders = {value: [part for part in PurePath(value).parts if part != "/"] for value in different}
    for depth in range(1, 1 + max((len(parts) for parts in folders.values()), default=0)):
        short = {value: "_".join(parts[-depth:]) for value, parts in folders.items()}
        if len({*short.values()}) == len(different):
            return {} if depth == 1 else short
    return {}
