"""The configuration that lies in a run's directory, which may have been damaged, or be a stranger's."""

from pathlib import Path
from typing import Any

from safelab.errors import DataError
from safelab.runlog.files import read_yaml
from safelab.runlog.lines import last_update
from safelab.runlog.schema import CHECKPOINT_DIR, CONFIG_FILE, config_today
from safelab.runlog.writer import read_info


def read_config(directory: Path) -> dict[str, Any]:
    """The resolved configuration in a run's directory, under today's keys.

    Raises:
        DataError: it is missing, may not be read, or is not what a run writes; see ``files.read_yaml``.
    """
    path = directory / CONFIG_FILE
    try:
        config = read_yaml(path)
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from error
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(config, dict):
        raise _damaged(path, f"it holds {'nothing' if config is None else f'a {type(config).__name__}'}")
    return config_today(config)


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(
        f"{path} must be the configuration that the run wrote, and is not ({reason}); put it back from a copy, "
        "or remove the run's directory and train again"
    )


def binds(directory: Path) -> bool:
    """Whether going on with the run there takes its configuration and inputs: not if it failed before its first update.

    A record that cannot be read binds; what is wrong with it is told where it is read.
    """
    checkpoints = directory / CHECKPOINT_DIR
    if last_update(directory) >= 0 or (checkpoints.is_dir() and any(checkpoints.iterdir())):
        return True
    try:
        return read_info(directory).status != "failed"
    except DataError:
        return True
