"""On a Ray cluster: one task per job, which Ray places where the CPUs and GPUs that it asks for are free."""

import os
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safelab.app.config.jobs import Job, threads_in_all
from safelab.app.config.launchers import RayOptions
from safelab.app.sweep.sites.site import Ending, last_lines
from safelab.app.sweep.surroundings import on_a_cluster
from safelab.app.sweep.worker import LOG_FILE, JobEnd, do
from safelab.errors import ConfigError

PATIENCE_S = 10.0
"""Seconds in which the head of a cluster must answer."""

PASSED_ON = ("HF_", "SAFELAB_", "TRANSFORMERS_", "WANDB_")
"""Beginnings of the variables that a job is given from here; Ray passes none on."""


class RaySite:
    """A ``Site`` of a running cluster, or of one that Ray starts here for the sweep.

    Args:
        options: of ``hydra/launcher=ray``, checked.
        command: what was typed, for the runs' record.

    Raises:
        ConfigError: Ray is not installed, or there is no cluster at that address.
    """

    begun = "submitted"

    def __init__(self, options: RayOptions, command: str) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
        try:
            import ray
        except ModuleNotFoundError as error:
            raise ConfigError("hydra/launcher=ray needs Ray: pip install './safelab[ray]'") from error
        self._ray, self._options, self._command = ray, options, command
        check_address(options.address)
        try:
            ray.init(
                options.address, runtime_env={"env_vars": on_a_cluster()}, log_to_driver=False, configure_logging=False,
                include_dashboard=False if options.address in (None, "local") else None,
            )  # fmt: skip
        except (ConnectionError, RuntimeError, ValueError) as error:
            said = str(error).strip().splitlines()[0]
            raise ConfigError(
                f"hydra.launcher.address must be that of a running Ray cluster, got {options.address}: {said}"
            ) from error
        # A process of its own for each job, with which its memory, threads and output end. Ray's own retries would be
        # silent; ours say what was lost.
        self._task = ray.remote(max_calls=1, max_retries=0)(on_node)
        self._running: dict[Any, tuple[int, Job, Path]] = {}
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._told_nowhere = False

    def start(self, waiting: Sequence[tuple[int, Job]]) -> int:
        """As many as may run at once; Ray holds those for which there is no room yet."""
        taken = waiting if self._options.workers is None else waiting[: self._options.workers - len(self._running)]
        for number, job in taken:
            log = self._early_log(number, job)
            asked = {"num_cpus": self._options.cpus or threads_in_all(job), "num_gpus": self._options.gpus}
            self._tell_if_nowhere(asked)
            variables = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
            told = job, log, os.getcwd(), variables, self._options.gpus, self._command
            self._running[self._task.options(**asked).remote(*told)] = number, job, log
        return len(taken)

    def ended(self, seconds: float | None) -> Sequence[Ending]:
        """One task at a time."""
        ready, _ = self._ray.wait([*self._running], num_returns=1, timeout=seconds)
        return [self._ending(task) for task in ready]

    def stop(self, insist: bool) -> None:
        """Ray calls the handler of Ctrl-C in the job's process, and a run saves itself; ``insist`` ends the process."""
        for task in self._running:
            self._ray.cancel(task, force=insist)

    def close(self) -> None:
        """Leave the cluster, which ends what of ours is left there; one that was started here ends, too."""
        self._ray.shutdown()
        if self._scratch is not None:
            self._scratch.cleanup()

    def _early_log(self, number: int, job: Job) -> Path:
        """On the disk that all machines share, as the job's machine may be gone when it is read."""
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix=".ray-", dir=job.directory.parents[1].absolute())
        return Path(self._scratch.name, f"{number}.txt")

    def _ending(self, task: Any) -> Ending:
        number, job, log = self._running.pop(task)
        errors = self._ray.exceptions
        end: JobEnd | None = None
        cause, lost = "", False
        try:
            end = self._ray.get(task)
        except errors.TaskCancelledError:
            cause = "stopped"
        except errors.RayTaskError as error:  # what the job raised and did not expect
            cause = str(error).strip().splitlines()[-1]
        except errors.RayError as error:  # its process, its machine, or what it was to say
            cause, lost = f"Ray lost it ({type(error).__name__})", True
        return Ending(number=number, end=end, cause=cause, output=last_lines(log, job.directory / LOG_FILE), lost=lost)

    def _tell_if_nowhere(self, asked: Mapping[str, int]) -> None:
        """Say once that a job waits for a machine which is not there; a cluster that grows may get one."""
        names = {"num_cpus": "CPU", "num_gpus": "GPU"}
        machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        fits = any(all(one.get(names[key], 0) >= count for key, count in asked.items()) for one in machines)
        if not fits and not self._told_nowhere:
            self._told_nowhere = True
            print(
                f"note: no machine of the Ray cluster has the {asked['num_cpus']} CPUs and {asked['num_gpus']} GPUs "
                "that a job asks for (hydra.launcher.cpus, hydra.launcher.gpus); jobs wait until one joins",
                file=sys.stderr, flush=True,
            )  # fmt: skip


def check_address(address: str | None) -> None:
    """Ask whether somebody listens there, which Ray itself would do for minutes.

    Raises:
        ConfigError: nobody does.
    """
    host, colon, port = (address or "").rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE_S).close()
    except OSError as error:
        raise ConfigError(
            f"hydra.launcher.address must be that of a running Ray cluster, got {address}: {error.strerror or error}"
        ) from error


def on_node(job: Job, log: Path, directory: str, variables: Mapping[str, str], gpus: int, command: str) -> JobEnd:
    """In a process of the cluster: run the job as if it had been started where the user is."""
    os.environ.update(variables)
    if gpus == 0:  # Ray leaves all of them visible
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.chdir(directory)
    sys.path.append(directory)
    return do(job, log, command)
