"""Folders that safelab uses outside a run's own, and what paths in a configuration mean."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from safelab.errors import ConfigError

MADE = ("output_dir", "output")
"""Keys of the folders that safelab makes."""


def cache_directory() -> Path:
    """Where the embedded world is kept: $SAFELAB_CACHE, else safelab's folder in the user's cache.

    Raises:
        ConfigError: $SAFELAB_CACHE is below the home of a user that is none.
    """
    if own := os.environ.get("SAFELAB_CACHE"):
        return Path(to_make("SAFELAB_CACHE", os.path.expanduser(own)))
    return user_cache_path("safelab", appauthor=False)


def at_home(config: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` with every text that begins with ``~/`` (or ``~user/``) as a path below that home folder.

    A shell does not do it behind ``key=``, and Hydra does not at all.

    Raises:
        ConfigError: a folder to be made would be named ``~`` all the same, as there is no such user.
    """
    there = {key: _expanded(value) for key, value in config.items()}
    for key in MADE:
        if isinstance(there.get(key), str):
            to_make(key, there[key])
    return there


def settled(config: Mapping[str, Any], base: Path | None = None) -> dict[str, Any]:
    """``config`` of a run with absolute paths, so that it means the same from every folder.

    Args:
        config: resolved.
        base: where relative paths begin; None: the current folder.
    """
    there = at_home(config)
    if not any(isinstance(value, Mapping) and "name" in value for value in there.values()):
        return there
    from safelab.contracts import CONTRACT_OF  # imports torch
    from safelab.plugins import placed

    return {
        key: placed(key, value, base or Path.cwd())
        if key in CONTRACT_OF and isinstance(value, Mapping) and isinstance(value.get("name"), str)
        else value
        for key, value in there.items()
    }


def to_make(key: str, path: str) -> str:
    """``path`` itself, unless it begins with a ``~`` that leads to no home folder.

    Raises:
        ConfigError: it does.
    """
    if path.startswith("~"):
        raise ConfigError(
            f"{key} must not begin with ~ but for a user's home folder, got {path!r}; as a name: ./{path}"
        )
    return path


def _expanded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _expanded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_expanded(item) for item in value]
    if isinstance(value, str) and (value == "~" or (value.startswith("~") and "/" in value)):
        return os.path.expanduser(value)
    return value
