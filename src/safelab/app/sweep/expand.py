"""From what was asked for to the jobs of a sweep, each composed by itself."""

from collections.abc import Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from safelab.app.config.compose import explained
from safelab.app.config.jobs import Job, merged, overrides_of, to_job
from safelab.app.config.preflight import listed
from safelab.errors import ConfigError


def expand(hydra: Hydra, master: DictConfig) -> list[list[list[str]]]:
    """The overrides of each job, in batches, as Hydra's basic sweeper makes them."""
    sweeper = master.hydra.sweeper
    given = [f"{key}={value}" for key, value in (sweeper.params or {}).items()] + overrides_of(master.hydra)
    parsed = OverridesParser.create(hydra.config_loader).parse_overrides(given)
    return BasicSweeper.split_arguments(parsed, sweeper.max_batch_size)


def compose_jobs(hydra: Hydra, master: DictConfig, overrides: Sequence[Sequence[str]], name: str) -> list[Job]:
    """Every job of a sweep.

    Raises:
        ConfigError: what is wrong with those that cannot be composed, all of it.
    """
    jobs, faults = [], []
    for own in overrides:
        try:
            with explained(hydra, own, name):
                jobs.append(to_job(hydra.config_loader.load_sweep_config(master, list(own))))
        except ConfigError as error:
            faults += [(" ".join(own), line) for line in str(error).splitlines()]
    if faults:
        raise ConfigError(listed(merged(faults, len(overrides))))
    return jobs
