"""What our launchers are told: where the jobs of a sweep run, how many at once, and what each of them asks for."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from omegaconf import DictConfig, OmegaConf
from pydantic import Field, ValidationError, ValidationInfo, field_validator

from safelab.app.config.hydra_node import OURS
from safelab.app.config.preflight import listed
from safelab.errors import ConfigError
from safelab.options import Options

PREFIX = "hydra.launcher"

TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<parts>\d+(?::\d+){0,2})")
"""A time as SLURM writes it: 30, 30:00, 2:00:00, 1-12, 1-12:30, 1-12:30:00."""


class LocalOptions(Options):
    """``workers``: jobs at once; None for as many as this machine holds."""

    workers: Annotated[int, Field(ge=1)] | None


class ClusterOptions(Options):
    """What both kinds of clusters are told.

    ``workers``: jobs at once, None for as many as there is room for. ``cpus``, ``gpus``: of each job; None CPUs for as
    many as it has threads.
    """

    workers: Annotated[int, Field(ge=1)] | None
    cpus: Annotated[int, Field(ge=1)] | None
    gpus: Annotated[int, Field(ge=0)]


class RayOptions(ClusterOptions):
    """A Ray cluster. ``address``: host and port of its head; None for the one that Ray itself finds, or starts here."""

    address: str | None

    @field_validator("address")
    @classmethod
    def _of_a_head(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"auto|local|[^\s/]+:\d+", value):
            raise ValueError(f"must be host:port of the cluster's head, auto, local or null, got {value!r}")
        return value


class SlurmOptions(ClusterOptions):
    """A SLURM cluster. ``warn_s``: seconds before the end of its time at which a job is told to save itself.

    ``lines``: options of ``sbatch`` beside ours. ``setup``: shell lines before the job. ``poll_s``: between two looks
    at the queue.
    """

    partition: Annotated[str, Field(min_length=1)] | None
    account: Annotated[str, Field(min_length=1)] | None
    time: str | Annotated[int, Field(ge=1)] | None
    warn_s: Annotated[int, Field(ge=1, le=65535)]
    lines: list[str]
    setup: list[str]
    poll_s: Annotated[float, Field(gt=0)]

    @field_validator("lines")
    @classmethod
    def _are_options(cls, value: list[str]) -> list[str]:
        for line in value:
            if not re.fullmatch(r"--?[a-zA-Z].*", line):
                raise ValueError(f"must be options of sbatch as --qos=high, got {line!r}")
        return value

    @field_validator("time")
    @classmethod
    def _is_a_time(cls, value: str | int | None) -> str | int | None:
        if value is not None and seconds_of(str(value)) is None:
            raise ValueError(f"must be minutes, or a time as 2:00:00 or 1-12:00:00 (days-hours), got {value!r}")
        return value

    @field_validator("warn_s")
    @classmethod
    def _is_within_the_time(cls, value: int, others: ValidationInfo) -> int:
        given = others.data.get("time")
        if given is not None and (seconds := seconds_of(str(given))) is not None and seconds <= value:
            raise ValueError(
                f"must be less than {PREFIX}.time, got {value} s of {seconds} s: a job would be told to save itself "
                "before it began"
            )
        return value


def seconds_of(time: str) -> int | None:
    """Seconds of a time as SLURM writes it; None if it is none."""
    found = TIME.fullmatch(time)
    if found is None:
        return None
    parts = [int(part) for part in found["parts"].split(":")]
    if found["days"] is not None:
        hours, minutes, seconds = (*parts, 0, 0)[:3]
        return ((int(found["days"]) * 24 + hours) * 60 + minutes) * 60 + seconds
    if len(parts) == 3:
        return (parts[0] * 60 + parts[1]) * 60 + parts[2]
    return parts[0] * 60 + (parts[1] if len(parts) == 2 else 0)


SITES: Mapping[str, type[Options]] = {"local": LocalOptions, "ray": RayOptions, "slurm": SlurmOptions}


def site_of(launcher: Any) -> str | None:
    """Where a launcher of ours runs jobs, by Hydra's node of it; None for one that is not ours."""
    if not OmegaConf.is_dict(launcher) or launcher.get("_target_") != OURS:
        return None
    site = launcher.get("site")
    if site not in SITES:
        raise ConfigError(f"{PREFIX}.site must be {', '.join(SITES)}, got {site!r}: choose it by hydra/launcher")
    return str(site)


def is_here(launcher: Any) -> bool:
    """Whether jobs surely run on this machine; what its GPUs are is asked elsewhere where they do not."""
    if str(launcher.get("_target_")).endswith(".BasicLauncher"):
        return True
    return site_of(launcher) == "local"


def told(launcher: DictConfig) -> Options | None:
    """The validated options of a launcher of ours; None for one that is not ours.

    Raises:
        ConfigError: all that is wrong with them.
    """
    site = site_of(launcher)
    if site is None:
        return None
    values: dict[str, Any] = OmegaConf.to_container(launcher, resolve=True)  # type: ignore[assignment]
    kind = SITES[site]
    try:
        return kind(**{key: value for key, value in values.items() if key not in ("_target_", "site")})
    except ValidationError as error:
        from safelab.options import describe

        raise ConfigError(listed(describe(error, PREFIX, kind.model_fields))) from error


def cpus_of(launcher: Any) -> int | None:
    """The CPUs that each job of a cluster is given, if that was told."""
    return None if site_of(launcher) in (None, "local") else launcher.get("cpus")
