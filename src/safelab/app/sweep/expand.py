"""From what was asked for to the jobs of a sweep, each composed by itself."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig

from safelab.app.config.arms import (
    WITHOUT_ARMS,
    Arms,
    arms_of,
    as_override,
    check_baseline,
    check_left_to_arms,
    seeds_of,
    split,
)
from safelab.app.config.compose import CONFIG_NAME, compose, explained
from safelab.app.config.groups import groups_of
from safelab.app.config.jobs import ARMS, Job, merged, overrides_of, to_job
from safelab.app.config.launchers import cpus_of, site_of
from safelab.app.config.names import arm_name, key_in, swept
from safelab.app.config.own_model import check_own_model
from safelab.app.config.preflight import listed
from safelab.app.config.threads import cores
from safelab.errors import ConfigError

Overrides = Sequence[str]
"""All that makes one job of the configuration."""


def is_sweep(hydra: Hydra, overrides: Overrides, name: str) -> bool:
    """Whether ``overrides`` ask for many runs without ``-m``: by arms, or by ``hydra.mode`` in a file."""
    with explained(hydra, overrides):
        chosen, others = split(overrides)
    if chosen is not None:
        return True
    try:
        config = compose(hydra, others, multirun=True, name=name)
    except ConfigError:  # what is wrong is said where it is composed for good
        return False
    return ARMS in config or config.hydra.mode == RunMode.MULTIRUN


def jobs_of(hydra: Hydra, overrides: Overrides, name: str = CONFIG_NAME) -> list[Job]:
    """Every job that ``overrides`` ask for with ``-m``.

    Raises:
        ConfigError: what is wrong with those that cannot be composed, all of it.
    """
    master, arms = shared(hydra, overrides, name)
    return compose_jobs(hydra, master, [job for batch in expand(hydra, master, arms) for job in batch], name)


def shared(hydra: Hydra, overrides: Overrides, name: str) -> tuple[DictConfig, Arms | None]:
    """The configuration that all jobs of a sweep share, and the arms that were chosen; None if it has no arms."""
    with explained(hydra, overrides, name):
        chosen, others = split(overrides)
    master = compose(hydra, others, multirun=True, name=name)
    check_added(hydra, others)
    return master, arms_of(master, chosen)


def check_added(hydra: Hydra, overrides: Overrides) -> None:
    """Refuse a ``+key=value`` that no run knows, once and before its many jobs are composed."""
    groups = {*groups_of(hydra)}
    parsed = OverridesParser.create(hydra.config_loader).parse_overrides([*overrides])
    added = [one for one in parsed if (one.is_add() or one.is_force_add()) and one.key_or_group not in groups]
    values = {one.key_or_group: one.get_value_string() for one in added if re.fullmatch(r"\w+", one.key_or_group)}
    if values:
        from safelab.app.config.build import unknown  # its imports are slow, and this is rare

        if lines := unknown(values):
            raise ConfigError(listed(lines))


def expand(hydra: Hydra, master: DictConfig, arms: Arms | None) -> list[list[Overrides]]:
    """The overrides of each job, in batches, as Hydra's basic sweeper makes them; for every arm in turn."""
    parser = OverridesParser.create(hydra.config_loader)
    told = told_of(hydra, master)
    with explained(hydra):
        if not any(override.key_or_group == "seed" for override in told):
            told += parser.parse_overrides(seeds_of(master))
        jobs: list[list[str]] = []
        if arms is None:
            jobs = BasicSweeper.split_arguments(told, None)[0]
        elif any(override.key_or_group == "arm" for override in told):
            raise ConfigError("arm must be left out where a sweep has arms: their names are given in its file")
        parsed = {name: parser.parse_overrides([*own]) for name, own in (arms or {}).items()}
        check_left_to_arms(parsed, told)
        for name, own in parsed.items():
            jobs += arm_jobs(name, own, told)
        check_values(told, jobs)
        return [[*chunk] for chunk in BasicSweeper.split_overrides_to_chunks(jobs, master.hydra.sweeper.max_batch_size)]


def told_of(hydra: Hydra, master: DictConfig) -> list[Override]:
    """What all jobs of a sweep are told: the sweeper's own parameters, then the command line."""
    params = [f"{key}={value}" for key, value in (master.hydra.sweeper.get("params") or {}).items()]
    with explained(hydra, params):
        told = [*params, *overrides_of(master.hydra)]
        return OverridesParser.create(hydra.config_loader).parse_overrides(told)


def check_values(told: Sequence[Override], jobs: Sequence[Overrides]) -> None:
    """Refuse a sweep without jobs: a key of which no value is left, as ``seed=range(3,3)``.

    Raises:
        ConfigError: naming that key.
    """
    for override in [] if jobs else told:
        if override.is_sweep_override() and next(iter(override.sweep_string_iterator()), None) is None:
            raise ConfigError(
                f"{override.key_or_group} must have at least one value in a sweep, got {override.get_value_string()}, "
                "which is empty"
            )


def alike(jobs: Sequence[Job]) -> list[str]:
    """One line for arms of which the runs of one seed are told the very same: they will have the same rows."""
    same: dict[str, list[str]] = defaultdict(list)
    for job in jobs:
        told = {key: value for key, value in job.config.items() if key != "arm"}
        same[json.dumps(told, sort_keys=True, default=str)].append(job.config["arm"])
    groups = dict.fromkeys(tuple(sorted(arms)) for arms in same.values() if len(arms) > 1)
    return [f"the arms {', '.join(arms)} are told the same, so their runs will have the same rows" for arms in groups]


def arm_jobs(name: str, own: Sequence[Override], told: Sequence[Override]) -> list[list[str]]:
    """The overrides of each job of one arm; what is told several values of is in the names of its folders."""
    labels = swept(told)
    jobs = []
    # Of two overrides of one key the later holds, so a number of updates that was told wins.
    for job in BasicSweeper.split_arguments([*own, *told], None)[0]:
        full = arm_name(name, [text for text in job if key_in(text, labels)], labels) if labels else name
        jobs.append([*job, as_override("arm", full), WITHOUT_ARMS])
    return jobs


def compose_jobs(hydra: Hydra, master: DictConfig, overrides: Sequence[Overrides], name: str) -> list[Job]:
    """Every job of a sweep.

    Raises:
        ConfigError: what is wrong with those that cannot be composed, all of it.
    """
    labels, runs, jobs, faults = swept(told_of(hydra, master)), [], [], []
    shared_by, cpus = at_once(master, len(overrides)), cpus_of(master.hydra.launcher)
    for own in overrides:
        try:
            with explained(hydra, own, name):
                runs.append(hydra.config_loader.load_sweep_config(master, list(own)))
                jobs.append(repeatable(to_job(runs[-1], labels=labels, at_once=shared_by, cpus=cpus)))
        except ConfigError as error:
            faults += [(label(own), line) for line in str(error).splitlines()]
    if faults:
        raise ConfigError(listed(merged(dict.fromkeys(faults), len({label(own) for own in overrides}))))
    check_own_model(hydra, runs, overrides_of(master.hydra))
    if ARMS not in master:
        check_baseline(master, [job.config["arm"] for job in jobs])
    return jobs


def repeatable(job: Job) -> Job:
    """``job`` with its arm among its overrides: given by themselves, they lead to the same folder."""
    named = any(text.startswith("arm=") for text in job.overrides)
    return job if named else replace(job, overrides=(*job.overrides, as_override("arm", job.config["arm"])))


def at_once(master: DictConfig, count: int) -> int:
    """How many of ``count`` jobs share a machine; where we do not know, as many as this one has cores.

    ``basic`` is Hydra's own, which runs one after the other.
    """
    launcher = master.hydra.launcher
    if site_of(launcher) == "local":
        return min(count, launcher.get("workers") or cores())
    return 1 if master.hydra.runtime.choices.get("hydra/launcher") == "basic" else cores()


def label(overrides: Iterable[str]) -> str:
    """What a job that cannot be composed is called: its arm, or all its overrides."""
    texts = list(overrides)
    return texts[-2] if texts[-1:] == [WITHOUT_ARMS] else " ".join(texts)


def the_one(hydra: Hydra, overrides: Overrides, name: str, flag: str) -> list[str]:
    """The overrides of one job, the first seed's, for a ``flag`` that looks at one.

    Raises:
        ConfigError: there are jobs that differ in more than their seeds.
    """
    jobs = [job for batch in expand(hydra, *shared(hydra, overrides, name)) for job in batch]
    alike = {tuple(text for text in job if not text.startswith("seed=")) for job in jobs}
    if len(alike) > 1:
        raise ConfigError(f"{flag} looks at one run, got {len(alike)} different ones; choose one, as with arms=safe")
    return [*jobs[0]]
