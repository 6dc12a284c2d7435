"""``hydra/launcher=local``: each job in a process of its own, as many at once as there are cores or GPUs."""

from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


@dataclass
class LocalLauncherConf:
    """``workers``: jobs at once; null for as many as the machine holds."""

    _target_: str = "hydra_plugins.safelab_local_launcher.local.LocalLauncher"
    workers: int | None = None


ConfigStore.instance().store(
    group="hydra/launcher", name="local", node=LocalLauncherConf, provider="safelab_local_launcher"
)


class LocalLauncher(Launcher):
    """Goes on past a failed job: its JobReturn says so, and the caller decides what to make of it."""

    def __init__(self, workers: int | None) -> None:
        self.workers = workers

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what ``launch`` needs; of the task function, always safelab's own, its jobs, labels and metric."""
        self.hydra_context, self.config = hydra_context, config
        self.composed = getattr(task_function, "jobs", {})
        self.labels = getattr(task_function, "labels", {})
        self.metric = getattr(task_function, "metric", None)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run one job per list of overrides."""
        from safelab.app.config.jobs import to_job
        from safelab.app.sweep.expand import at_once
        from safelab.app.sweep.pool import run_all, slots_for
        from safelab.app.sweep.search import value_of
        from safelab.errors import RunFailed

        shared = at_once(self.config, len(job_overrides))
        load = self.hydra_context.config_loader.load_sweep_config
        jobs = [
            self.composed.get(tuple(overrides))
            or to_job(load(self.config, list(overrides)), labels=self.labels, at_once=shared)
            for overrides in job_overrides
        ]
        returns = []
        for job, end in zip(jobs, run_all(jobs, slots_for(jobs, self.workers)), strict=True):
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
