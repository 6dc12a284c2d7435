"""What the sweep of a publication trains, an arm at a time: reports compare runs with it."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hydra._internal.hydra import Hydra

from safelab.app.config.compose import CONFIG_NAME, opened
from safelab.app.sweep.expand import Overrides, compose_jobs, expand, label, shared

if TYPE_CHECKING:
    from safelab.results.compare.preset_gaps import Preset

SEED = "seed="


def preset_of(name: str) -> "Preset | None":
    """The preset ``conf/sweep/NAME.yaml``; None where there is none."""
    with opened() as hydra:
        return None if name not in sweeps(hydra) else planned(hydra, [f"+sweep={name}"])


def sweeps(hydra: Hydra) -> list[str]:
    """The names of all sweeps."""
    return list(hydra.config_loader.get_group_options("sweep"))


def planned(hydra: Hydra, overrides: Overrides) -> "Preset":
    """What a sweep with arms trains. Of each arm one job is composed: the others differ in their seeds.

    Raises:
        ConfigError: one of these jobs cannot be composed.
    """
    from safelab.results.compare.preset_gaps import Preset

    master, arms = shared(hydra, overrides, CONFIG_NAME)
    by_arm: dict[str, list[Sequence[str]]] = defaultdict(list)
    for batch in expand(hydra, master, arms):
        for job in batch:
            by_arm[label(job)].append(job)
    first = compose_jobs(hydra, master, [jobs[0] for jobs in by_arm.values()], CONFIG_NAME)
    named = {job.config["arm"]: job.config for job in first}
    told = {name: _seeds(jobs) for name, jobs in zip(named, by_arm.values(), strict=True)}
    return Preset(arms=named, seeds={name: seeds or [int(named[name]["seed"])] for name, seeds in told.items()})


def _seeds(jobs: Sequence[Overrides]) -> list[int]:
    """Those that the jobs' overrides name; none where the configuration's own is meant."""
    return sorted({int(text.removeprefix(SEED)) for job in jobs for text in job if text.startswith(SEED)})
