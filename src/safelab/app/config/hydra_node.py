"""What of Hydra's own node a command line may set: nothing that would call a function by its name."""

from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper

from safelab.errors import ConfigError, nearest

KINDS = {"launcher": Launcher, "sweeper": Sweeper}


def check_hydra_node(node: Any) -> None:
    """Refuse a launcher or sweeper that no installed plugin offers, and callbacks.

    Args:
        node: the key ``hydra`` of a composed configuration.

    Raises:
        ConfigError: what must not be set, with what may.
    """
    for key, kind in KINDS.items():
        known = [f"{plugin.__module__}.{plugin.__qualname__}" for plugin in Plugins.instance().discover(kind)]
        target = node[key].get("_target_") if hasattr(node[key], "get") else node[key]
        if target not in known:
            said = nearest(str(target), known)
            raise ConfigError(f"hydra.{key}._target_ must be an installed {key}, got {target!r}: {said}")
    if node.callbacks:
        raise ConfigError(f"hydra.callbacks must stay empty, got {', '.join(map(str, node.callbacks))}: leave it out")
    workers = node.launcher.get("workers")
    if workers is not None and workers < 1:
        raise ConfigError(f"hydra.launcher.workers must be >= 1 or null, got {workers}")
