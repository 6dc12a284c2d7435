"""The groups of the configuration: ours, Hydra's and the user's own."""

from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from hydra._internal.hydra import Hydra
from hydra.core.object_type import ObjectType

_FOUND: WeakKeyDictionary[Hydra, list[str]] = WeakKeyDictionary()


def groups_of(hydra: Hydra) -> list[str]:
    """The name of each group that has an option, as ``controller/gate``; every folder is read once."""
    if hydra not in _FOUND:
        # Hydra's own ``list_all_config_groups`` copies its repository for each folder and takes ten times as long.
        _FOUND[hydra] = [*_below(hydra.config_loader.repository, "")]  # type: ignore[attr-defined]
    return _FOUND[hydra]


def _below(repository: Any, parent: str) -> Iterator[str]:
    for name in repository.get_group_options(parent, ObjectType.GROUP):
        group = f"{parent}/{name}" if parent else name
        if repository.get_group_options(group, ObjectType.CONFIG):
            yield group
        yield from _below(repository, group)
