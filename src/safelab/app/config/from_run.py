"""From a run's directory back to its parts, with the weights of a checkpoint at hand."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from safelab.app.config.places import at_home, settled
from safelab.app.config.preflight import listed
from safelab.app.config.trust import check_trust
from safelab.errors import DataError
from safelab.runlog.schema import CHECKPOINT_DIR, CONFIG_FILE

NO_TRACKER: Mapping[str, Any] = {"name": "none", "tags": [], "notes": None}
"""What is run again for a look is mirrored nowhere."""


def config_of(run: Path, trusted: bool) -> dict[str, Any]:
    """The resolved configuration that a run was trained with, checked; it is mirrored nowhere.

    ``trusted``: whether it may name code and servers that are not safelab's; nothing of it is imported before that.

    Raises:
        DataError: ``run`` is no run directory, or its configuration is none of this version.
        ConfigError: it names more than safelab's own options, and is not trusted.
    """
    from safelab.runlog.recorded import read_config
    from safelab.runlog.writer import read_info

    info = read_info(run)
    config = {**read_config(run), "tracker": NO_TRACKER}
    check_trust(run, at_home(config), trusted)
    base = Path(info.folder) if info.folder else began_in(run, config)
    if base is not None and trusted:
        find_modules_in(base)
    config = settled(config, base)

    from safelab.app.config.build import problems

    if lines := problems(config):
        raise DataError(
            listed([f"{run / CONFIG_FILE} must be a configuration of this version and machine: {x}" for x in lines])
        )
    return config


def began_in(run: Path, config: Mapping[str, Any]) -> Path | None:
    """The folder in which a run was begun that does not say so: the one above its ``output_dir``; None if unknown."""
    tail = [config.get(key) for key in ("output_dir", "experiment", "arm")]
    if not all(isinstance(part, str) for part in tail):
        return None
    below = Path(*tail, f"seed_{config.get('seed')}")  # type: ignore[arg-type]
    whole = run.absolute()
    return None if below.is_absolute() or not whole.match(str(below)) else whole.parents[len(below.parts) - 1]


def find_modules_in(folder: Path) -> None:
    """So that a run's own modules are found where it was begun, before those of the current folder."""
    place, here = str(folder), os.getcwd()
    if place not in sys.path:
        sys.path.insert(sys.path.index(here) if here in sys.path else len(sys.path), place)


def weights_of(run: Path, name: str | None = None) -> Path:
    """The ``policy`` folder of a run's newest whole checkpoint, or of ``name`` (``update_000050``, ``best``).

    Raises:
        DataError: there is no whole checkpoint, none of that name, or it is another run's.
    """
    from safelab.runlog.writer import read_info
    from safelab.training.lifecycle.owner import check_owner

    path = _checkpoint_of(run, name)
    check_owner(path, read_info(run))
    return path / "policy"


def _checkpoint_of(run: Path, name: str | None) -> Path:
    from safelab.training.lifecycle import checkpoint

    folder = run / CHECKPOINT_DIR
    if name is None:
        found, _ = checkpoint.newest(folder)
        if found is None:
            raise DataError(f"{run} must have a whole checkpoint, got none; train it with checkpoint.every above 0")
        return found
    if name == "best":
        best = checkpoint.best_of(folder)
        if best is None or not checkpoint.is_whole(best):
            raise DataError(
                f"--checkpoint best must have one in {run}, got none whole; train with checkpoint.best=METRIC"
            )
        return best
    if not checkpoint.is_whole(folder / name):
        there = ", ".join(path.name for path in checkpoint.checkpoints_in(folder)) or "none"
        raise DataError(f"--checkpoint must name a whole checkpoint of {run}, got {name}; there are: {there}")
    return folder / name


def parts_of(config: Mapping[str, Any], say: Callable[[str], None], column: str | None = None) -> Any:
    """A fresh build of the run's parts; ``column``: of its data, which is read besides where it is there."""
    from safelab.app.config.build import build, context_for
    from safelab.contracts import Reading

    reading = Reading() if column is None else Reading(may=frozenset({column}))
    return build(config, replace(context_for(config, say), reading=reading))


def writer_of(config: Mapping[str, Any], say: Callable[[str], None]) -> tuple[Any, Any]:
    """A fresh build of the run's policy and sampler alone: neither its data nor its reward need be there."""
    from safelab.app.config.build import context_for
    from safelab.plugins import build_option

    context = context_for(config, say)
    policy = build_option("policy", config["policy"], context)
    return policy, build_option("rollout", config["rollout"], replace(context, policy=policy)).unperturbed()
