"""What of Hydra's own node may be set: what acts here, and nothing that would call a function by its name."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig, OmegaConf

from safelab.app.config.preflight import listed
from safelab.errors import ConfigError, nearest

OURS = "hydra_plugins.safelab_local_launcher.local.SafelabLauncher"
"""The class behind ``hydra/launcher=local|ray|slurm``; ``hydra.launcher.site`` says which of them it is."""

KINDS = {"launcher": Launcher, "sweeper": Sweeper}

ACTING = ("mode", "searchpath", "launcher", "sweeper", "hydra_help", "callbacks")
"""First parts of the keys and groups of ``hydra`` that are obeyed; ``callbacks`` is refused by a check of its own."""

OF_MANY = ("launcher", "sweeper")
"""Those of them that act on many jobs only."""

ELSEWHERE = ("job.name", "job.env_set", "job.env_copy", "job_logging", "hydra_logging", "verbose")
"""What Hydra itself does for each job where a launcher other than ours starts it."""

FOLDER = "a run's folder is <output_dir>/<experiment>/<arm>/seed_<n>: set output_dir, experiment or arm"

INSTEAD = {
    "run.dir": FOLDER,
    "sweep.dir": FOLDER,
    "sweep.subdir": FOLDER,
    "output_subdir": "a run's own folder holds its config.yaml and overrides.yaml: leave it out",
    "job.chdir": "a run stays in the current folder: leave it out",
    "job.name": "a run is named by experiment, arm and seed: set those",
    "job.env_set": "set the variable before the command, as in NAME=value safelab train ...",
    "job.env_copy": "each job has the command's own environment: leave it out",
    "job_logging": "what a job of a sweep prints lies in its folder's log.txt: leave it out",
    "verbose": "--debug shows the traceback of an error",
}
"""Key of ``hydra`` -> what does here what its user wants."""

AS_SHIPPED: Mapping[str, tuple[Any, ...]] = {
    "run.dir": (".", "outputs/${now:%Y-%m-%d}/${now:%H-%M-%S}"),
    "sweep.dir": ("${output_dir}/${experiment}", "multirun/${now:%Y-%m-%d}/${now:%H-%M-%S}"),
    "sweep.subdir": (".", "${hydra.job.num}"),
    "output_subdir": (None, ".hydra"),
    "job.chdir": (False, None),
    "job.name": ("safelab",),
    "job.env_set": ({},),
    "job.env_copy": ([],),
    "verbose": (False,),
}
"""Key of ``hydra`` -> what it holds where nobody has set it: in conf/config.yaml, or in a user's file, by Hydra."""


def check_hydra_node(node: Any, *, many: bool) -> None:
    """Refuse what would have no effect, a launcher or sweeper that no installed plugin offers, and callbacks.

    Args:
        node: the key ``hydra`` of a composed configuration.
        many: whether it is a sweep's.

    Raises:
        ConfigError: what must not be set, with what may.
    """
    if lines := list(dict.fromkeys(idle(node, many=many))):
        raise ConfigError(listed(lines))
    for key, kind in KINDS.items():
        known = [f"{plugin.__module__}.{plugin.__qualname__}" for plugin in Plugins.instance().discover(kind)]
        target = node[key].get("_target_") if hasattr(node[key], "get") else node[key]
        if target not in known and str(target).endswith(".OptunaSweeper"):
            raise ConfigError("hydra/sweeper=search needs Optuna's sweeper: pip install './safelab[optuna]'")
        if target not in known:
            said = nearest(str(target), known)
            raise ConfigError(f"hydra.{key}._target_ must be an installed {key}, got {target!r}: {said}")
    for key, value in calls(node.sweeper, "hydra.sweeper"):
        raise ConfigError(f"{key} must not name a function to be called, got {value}: leave it out")
    if node.callbacks:
        raise ConfigError(f"hydra.callbacks must stay empty, got {', '.join(map(str, node.callbacks))}: leave it out")


def calls(sweeper: DictConfig, prefix: str) -> Iterator[tuple[str, Any]]:
    """Keys of a sweeper that would call whatever they name, one of Optuna's own samplers aside."""
    if not OmegaConf.is_dict(sweeper):
        return  # no sweeper at all, which is told elsewhere
    values = OmegaConf.to_container(sweeper, resolve=False)
    for key, value in values.items() if isinstance(values, dict) else ():
        if key == "custom_search_space" and value is not None:
            yield f"{prefix}.{key!s}", value
        target = value.get("_target_") if isinstance(value, dict) else None
        if target is not None and not re.fullmatch(r"optuna\.samplers\.\w+", str(target)):
            yield f"{prefix}.{key!s}._target_", target


def idle(node: DictConfig, *, many: bool) -> Iterator[str]:
    """One line for each key of ``hydra`` that a command line or a file sets, and that nothing here would look at."""
    passed_on = ELSEWHERE if many and not _is_ours(node.launcher) else ()
    for override in node.overrides.hydra:
        key = re.split("[=@]", override.lstrip("+~"))[0].replace("/", ".").removeprefix("hydra.")
        if key.split(".")[0] in OF_MANY and not many:
            yield f"{override} must come with -m, and acts on many jobs only: add -m, or leave it out"
        elif key.split(".")[0] not in ACTING and not _below(key, (*AS_SHIPPED, *passed_on)):
            yield _line(key, override.partition("=")[2])
    for key in AS_SHIPPED:  # a file may have set these
        if (value := _value(node, key)) not in AS_SHIPPED[key] and key not in passed_on:
            yield _line(key, value)


def _is_ours(launcher: Any) -> bool:
    return hasattr(launcher, "get") and launcher.get("_target_") == OURS


def _line(key: str, value: Any) -> str:
    remedy = next((INSTEAD[known] for known in INSTEAD if _below(key, (known,))), "leave it out")
    return f"hydra.{key} has no effect here, got {value}: {remedy}"


def _value(node: DictConfig, key: str) -> Any:
    """As it is written, interpolations and all."""
    found: Any = OmegaConf.to_container(node, resolve=False)
    for part in key.split("."):
        found = found[part]
    return found


def _below(key: str, known: tuple[str, ...]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in known)
