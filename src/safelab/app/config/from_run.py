"""From a run's directory back to its parts, with the weights of a checkpoint at hand."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from safelab.app.config.places import at_home
from safelab.errors import DataError
from safelab.runlog.schema import CHECKPOINT_DIR, CONFIG_FILE, config_today


def config_of(run: Path) -> dict[str, Any]:
    """The resolved configuration that a run was trained with.

    Raises:
        DataError: ``run`` is no run directory.
    """
    from safelab.runlog.writer import read_info

    read_info(run)
    try:
        config = yaml.safe_load((run / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise DataError(f"{run / CONFIG_FILE} must be the run's configuration, and cannot be read") from error
    if not isinstance(config, dict):
        raise DataError(f"{run / CONFIG_FILE} must hold a mapping, got {type(config).__name__}")
    return at_home(config_today(config))


def weights_of(run: Path, name: str | None = None) -> Path:
    """The ``policy`` folder of a run's newest whole checkpoint, or of ``name`` (``update_000050``, ``best``).

    Raises:
        DataError: there is no whole checkpoint, or none of that name.
    """
    from safelab.training.lifecycle import checkpoint

    folder = run / CHECKPOINT_DIR
    if name is None:
        found, _ = checkpoint.newest(folder)
        if found is None:
            raise DataError(f"{run} must have a whole checkpoint, got none; train it with checkpoint.every above 0")
        return found / "policy"
    if name == "best":
        best = checkpoint.best_of(folder)
        if best is None or not checkpoint.is_whole(best):
            raise DataError(
                f"--checkpoint best must have one in {run}, got none whole; train with checkpoint.best=METRIC"
            )
        return best / "policy"
    if not checkpoint.is_whole(folder / name):
        there = ", ".join(path.name for path in checkpoint.checkpoints_in(folder)) or "none"
        raise DataError(f"--checkpoint must name a whole checkpoint of {run}, got {name}; there are: {there}")
    return folder / name / "policy"


def parts_of(config: Mapping[str, Any], say: Callable[[str], None]) -> Any:
    """A fresh build of the run's parts, mirrored nowhere."""
    from safelab.app.config.build import build, context_for

    quiet = {**config, "tracker": {"name": "none"}}
    return build(quiet, context_for(quiet, say))
