"""Where the jobs of a sweep run, one module each; none knows of sweeps, messages, or what was done before."""

import shlex
import sys
from collections.abc import Sequence

from omegaconf import DictConfig

from safelab.app.config.jobs import Job
from safelab.app.config.launchers import LocalOptions, RayOptions, SlurmOptions, told
from safelab.app.sweep.sites.site import Site


def opened(launcher: DictConfig, jobs: Sequence[Job]) -> Site:
    """The site that Hydra's node of the launcher names, for ``jobs`` of one experiment or several.

    Raises:
        UserError: it cannot be had here.
    """
    options, command = told(launcher), shlex.join(["safelab", *sys.argv[1:]])
    if isinstance(options, SlurmOptions):
        from safelab.app.sweep.sites.slurm import SlurmSite

        return SlurmSite(options, command)
    if isinstance(options, RayOptions):
        from safelab.app.sweep.sites.ray import RaySite

        return RaySite(options, command)
    from safelab.app.sweep.sites.local import LocalSite, slots_for

    workers = options.workers if isinstance(options, LocalOptions) else None
    return LocalSite(slots_for(jobs, workers))
