"""Hydra composes twice as fast in the tests, to the same configurations: they ask for thousands.

Two things that it does for every file of every composition are left out where they change nothing: the table of
choices for defaults with ``${...}``, where a file has none of these; and parsing a file of ``conf/`` once more.
"""

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from hydra._internal import defaults_list
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult

Plugins.instance()  # imports its sources anew, so it must come before one of them is named
FileConfigSource: Any = SourcesRegistry.instance().resolve("file")
CONF = Path(__file__).resolve().parents[2] / "conf"
MAP = defaults_list._create_interpolation_map
LOAD = FileConfigSource.load_config


def install() -> None:
    """For this process."""
    defaults_list._create_interpolation_map = _map_if_needed
    FileConfigSource.load_config = _load_once


def uninstall() -> None:
    """Hydra as it is."""
    defaults_list._create_interpolation_map = MAP
    FileConfigSource.load_config = LOAD


def _map_if_needed(overrides: Any, defaults: list[Any], self_added: bool) -> Any:
    return MAP(overrides, defaults, self_added) if any(one.is_interpolation() for one in defaults) else None


def _load_once(source: Any, config_path: str) -> ConfigResult:
    file = Path(source.path, source._normalize_file_name(config_path))
    if not (file.is_relative_to(CONF) and file.is_file()):
        return LOAD(source, config_path)
    state = file.stat()
    return deepcopy(_loaded(source.path, source.provider, config_path, state.st_mtime_ns, state.st_size))


@cache
def _loaded(path: str, provider: str, config_path: str, changed: int, size: int) -> ConfigResult:
    return LOAD(FileConfigSource(provider, path), config_path)
