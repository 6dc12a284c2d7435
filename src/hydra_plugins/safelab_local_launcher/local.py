"""``hydra/launcher=local|ray|slurm``: each job of a sweep in a process of its own, here or on a cluster."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


@dataclass
class LocalLauncherConf:
    """``workers``: jobs at once; null for as many as the machine holds."""

    _target_: str = "hydra_plugins.safelab_local_launcher.local.SafelabLauncher"
    site: str = "local"
    workers: int | None = None


# The others stand in conf/hydra/launcher; this one is there for a --config-path without safelab's groups, too.
ConfigStore.instance().store(
    group="hydra/launcher", name="local", node=LocalLauncherConf, provider="safelab_local_launcher"
)


class SafelabLauncher(Launcher):
    """Goes on past a failed job: its JobReturn says so, and the caller decides what to make of it."""

    def __init__(self, **options: Any) -> None:
        """Hydra hands over what stands below ``hydra.launcher``; it is read, checked, from the whole configuration."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what ``launch`` needs; of the task function, always safelab's own, its jobs, labels and metric."""
        self.hydra_context, self.config = hydra_context, config
        self.composed = getattr(task_function, "jobs", {})
        self.labels = getattr(task_function, "labels", {})
        self.metric = getattr(task_function, "metric", None)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run one job per list of overrides."""
        from safelab.app.config.jobs import to_job
        from safelab.app.config.launchers import cpus_of
        from safelab.app.sweep.expand import at_once
        from safelab.app.sweep.pool import run_all
        from safelab.app.sweep.search import value_of
        from safelab.app.sweep.sites import opened
        from safelab.errors import RunFailed

        shared, cpus = at_once(self.config, len(job_overrides)), cpus_of(self.config.hydra.launcher)
        load = self.hydra_context.config_loader.load_sweep_config
        jobs = [
            self.composed.get(tuple(overrides))
            or to_job(load(self.config, list(overrides)), labels=self.labels, at_once=shared, cpus=cpus)
            for overrides in job_overrides
        ]
        returns = []
        for job, end in zip(jobs, run_all(jobs, lambda: opened(self.config.hydra.launcher, jobs)), strict=True):
            done = JobReturn(overrides=job.overrides, cfg=OmegaConf.create(dict(job.config)), task_name="safelab")
            done.status = JobStatus.COMPLETED if end.failure is None else JobStatus.FAILED
            done.return_value = None if end.failure is None else RunFailed(end.failure)
            if end.failure is None and self.metric is not None:
                try:
                    done.return_value = value_of(job, self.metric)
                except RunFailed as error:
                    done.status, done.return_value = JobStatus.FAILED, error
            returns.append(done)
        return returns
