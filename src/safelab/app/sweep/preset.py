"""What the sweep of a publication would train if nobody overrode anything: reports compare runs with that."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from safelab.app.config.compose import opened
from safelab.app.config.jobs import Job
from safelab.app.sweep.expand import jobs_of

if TYPE_CHECKING:
    from safelab.results.compare.preset_gaps import Preset


def preset_of(name: str) -> "Preset | None":
    """The preset ``conf/sweep/NAME.yaml``; None where there is none."""
    with opened() as hydra:
        if name not in hydra.config_loader.get_group_options("sweep"):
            return None
        return as_preset(jobs_of(hydra, [f"+sweep={name}"]))


def as_preset(jobs: Sequence[Job]) -> "Preset":
    """Each arm's first job, and all seeds."""
    from safelab.results.compare.preset_gaps import Preset

    first = {job.config["arm"]: job.config for job in reversed(jobs)}
    arms = {job.config["arm"]: first[job.config["arm"]] for job in jobs}
    return Preset(arms=arms, seeds=sorted({int(job.config["seed"]) for job in jobs}))
