"""A user's folder of groups, in which ``experiment/`` is read as ``recipe/``.

Hydra takes ``experiment=NAME`` for the choice of an option wherever a group ``experiment`` is, and here it names the
folder of the runs. So that group goes by the name of ours for the same thing, and ``+experiment=mine`` means
``+recipe=mine`` (see ``app.config.compose``).
"""

import os

from hydra._internal.core_plugins import file_config_source
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult

THEIRS, OURS = "experiment", "recipe"

SCHEME = "safelab-user"


class UserGroups(file_config_source.FileConfigSource):
    """The files as they lie there, but for the name of that one group."""

    @staticmethod
    def scheme() -> str:
        """What stands before ``://`` in Hydra's search path."""
        return SCHEME

    def load_config(self, config_path: str) -> ConfigResult:
        """The file, from whichever of both folders holds it."""
        return super().load_config(self._place(config_path))

    def is_group(self, config_path: str) -> bool:
        """Whether there is such a folder; never for the one that goes by another name."""
        if config_path == THEIRS:
            return False
        return super().is_group(config_path) or (config_path == OURS and super().is_group(THEIRS))

    def is_config(self, config_path: str) -> bool:
        """Whether there is such a file."""
        return super().is_config(self._place(config_path))

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """The names in a folder."""
        folders = [config_path, THEIRS] if config_path == OURS else [config_path]
        there = [os.path.join(self.path, folder) for folder in folders]
        names = {name for folder in there if os.path.isdir(folder) for name in os.listdir(folder)}
        if config_path == "" and THEIRS in names:
            names = names - {THEIRS} | {OURS}
        found: list[str] = []
        for name in names:
            self._list_add_result(found, os.path.join(config_path, name), name, results_filter)
        return sorted({*found})

    def _place(self, config_path: str) -> str:
        group, _, rest = config_path.partition("/")
        moved = group == OURS and rest and not super().is_config(config_path)
        return f"{THEIRS}/{rest}" if moved else config_path
