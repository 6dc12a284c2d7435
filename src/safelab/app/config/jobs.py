"""From a composed configuration to a job: plain values, a name for its arm, a directory, and what is there already."""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from safelab.app.config.mistakes import missing, unresolved
from safelab.app.config.names import PRESETS, Labels, arm_name, folder_fault, key_in, without_implied
from safelab.app.config.numbers import read_numbers
from safelab.app.config.places import settled
from safelab.app.config.threads import AUTO, threads_of
from safelab.errors import ConfigError, UserError

ARMS = "arms"
"""Key of a sweep's file; no run has it."""

UNNAMED = "default"
"""What ``experiment`` is where nobody has named it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run: its resolved configuration without Hydra's node, and the overrides that made it."""

    config: Mapping[str, Any]
    overrides: tuple[str, ...]

    @property
    def name(self) -> str:
        """Arm and seed, for messages."""
        return f"{self.config['arm']} seed {self.config['seed']}"

    @property
    def directory(self) -> Path:
        """``<output_dir>/<experiment>/<arm>/seed_<n>``."""
        config = self.config
        return Path(config["output_dir"], config["experiment"], config["arm"], f"seed_{config['seed']}")


def threads_in_all(job: Job) -> int:
    """CPU threads of all processes of a job."""
    return int(job.config["threads"]) * int(job.config["ranks"])


def gpus_in_all(job: Job) -> int:
    """GPUs of a job that trains on them: one for each process, and those of an engine that has its own."""
    return int(job.config["ranks"]) + len(job.config["rollout"].get("devices") or [])


def to_job(
    composed: DictConfig, hydra: Any = None, labels: Labels | None = None, at_once: int = 1, cpus: int | None = None
) -> Job:
    """The job that a composed configuration describes.

    Args:
        composed: with Hydra's node in it, unless that is given.
        hydra: Hydra's node where ``composed`` has none.
        labels: of a sweep with several arms, what is in their names; see ``names.swept``.
        at_once: jobs that share the machine with this one, itself included.
        cpus: that a cluster was told to give each job, if any.

    Raises:
        ConfigError: keys without a value, interpolations that lead nowhere, names that are no folder names, or many
            runs in place of one.
    """
    if hydra is None:
        HydraConfig.instance().set_config(composed)  # ${hydra:...} in a user's configuration reads it
        hydra = composed.hydra
    told = composed.copy()
    with open_dict(told):
        told.pop("hydra", None)
        if told.get("experiment") == UNNAMED:
            told.experiment = named_after(hydra.runtime.choices) or UNNAMED
    if ARMS in told:
        raise ConfigError(
            "arms are many runs, and this is about one: give one sweep at a time, or one arm's overrides in its place"
        )
    try:
        absent = sorted(OmegaConf.missing_keys(told))
        if absent:
            raise ConfigError("\n".join(missing(key) for key in absent))
        config: dict[str, Any] = OmegaConf.to_container(told, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    except OmegaConfBaseException as error:
        raise ConfigError(unresolved(error)) from error
    read_numbers(config, OmegaConf.to_container(told, resolve=False))
    config = settled(config)
    overrides = tuple(overrides_of(hydra))
    if config.get("arm") is None:
        changes = [text for text in overrides if not text.startswith("algorithm=")]
        own = [text for text in changes if key_in(text, labels)] if labels else without_implied(changes)
        config["arm"] = arm_name(hydra.runtime.choices.get("algorithm"), own, labels)
    for key in ("experiment", "arm"):
        if fault := folder_fault(key, config.get(key)):
            raise ConfigError(fault)
    job = Job(config=config, overrides=overrides)
    if config.get("threads") == AUTO:
        config["threads"] = threads_of(config, job.directory, at_once, cpus)
    return job


def named_after(choices: Mapping[str, Any]) -> str | None:
    """The name of the sweep's or recipe's file, for an experiment that nobody has named; None without one.

    Otherwise the runs of every such file would lie in one folder, and be one report.
    """
    found = [choices.get(group) for group in PRESETS]
    return next((PurePath(option).name for option in found if isinstance(option, str)), None)


def overrides_of(hydra: Any) -> list[str]:
    """What the command line asked for, from Hydra's node, as it was written."""
    return list(OmegaConf.to_container(hydra.overrides.task, resolve=False))  # type: ignore[arg-type]


def check_directories(jobs: Sequence[Job]) -> list[str]:
    """What stands against writing there, one line each: two jobs in one place, no permission, another run."""
    places: dict[Path, list[Job]] = defaultdict(list)
    for job in jobs:
        places[job.directory].append(job)
    lines = [
        f"{len(same)} jobs of this sweep would write {directory}: "
        + " and ".join(f"({' '.join(job.overrides)})" for job in same)
        + "; give them different arm, seed or experiment"
        for directory, same in places.items()
        if len(same) > 1
    ]
    lines += list(dict.fromkeys(filter(None, map(_unwritable, places))))
    return lines + list(filter(None, (_other_run(same[0]) for same in places.values())))


def merged(faults: Iterable[tuple[str, str]], count: int) -> list[str]:
    """Each fault (job's name, line) once; one that not all of the ``count`` jobs share says whose it is."""
    who: dict[str, list[str]] = defaultdict(list)
    for name, line in faults:
        who[line].append(name)
    lines = []
    for line, names in who.items():
        few = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        lines.append(line if len(names) == count else f"{line} (in {few})")
    return lines


def _unwritable(directory: Path) -> str | None:
    """Why the directory cannot be made or written, if so; nothing is made to find out."""
    nearest = directory
    while not os.path.lexists(nearest) and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        return f"output_dir must lead to a directory, got {directory}: {nearest} is a file"
    if not os.access(nearest, os.W_OK | os.X_OK):
        return f"output_dir must be writable, got {directory}: no permission in {nearest}; choose another output_dir"
    return None


def _other_run(job: Job) -> str | None:
    """What the run in the job's directory was told or given otherwise, if it is another run under the same name."""
    from safelab.runlog.fingerprints import changed_inputs
    from safelab.training.lifecycle.run import changed_keys  # imports torch, which --cfg and --help do without

    try:
        changed_keys(job.directory, job.config)
        changed_inputs(job.directory, job.config)
    except UserError as error:
        return str(error)
    return None
