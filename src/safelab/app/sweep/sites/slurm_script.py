"""The script that ``sbatch`` is given, and what of it runs on a node."""

import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from safelab.app.config.jobs import Job, threads_in_all
from safelab.app.config.launchers import SlurmOptions
from safelab.app.sweep.sites.slurm_files import OUTPUT
from safelab.app.sweep.surroundings import on_a_cluster

TIME_IS_UP = signal.SIGUSR1
"""What SLURM sends ``warn_s`` seconds before the end of a job's time, and where a cluster is so told, at preemption."""

ON_A_NODE = "safelab.app.sweep.sites.slurm_job"


def text(options: SlurmOptions, folder: Path, jobs: Sequence[Job]) -> str:
    """The script of an array that runs ``jobs``, whose files lie in ``folder``."""
    at_once = "" if options.workers is None else f"%{options.workers}"
    cpus = options.cpus or max(map(threads_in_all, jobs))
    asked = {
        "job-name": f"safelab-{jobs[0].config['experiment']}",
        "array": f"0-{len(jobs) - 1}{at_once}",
        "output": f"{str(folder).replace('%', '%%')}/%a{OUTPUT}",
        "open-mode": "append",
        "nodes": 1,
        "ntasks": 1,
        "cpus-per-task": cpus,
        "gres": f"gpu:{options.gpus}" if options.gpus else None,
        "signal": f"B:{TIME_IS_UP.name.removeprefix('SIG')}@{options.warn_s}",
        "partition": options.partition,
        "account": options.account,
        "time": options.time,
    }
    told = [f"--{name}={shlex.quote(str(value))}" for name, value in asked.items() if value is not None]
    exports = [f"export {name}={shlex.quote(value)}" for name, value in on_a_cluster().items()]
    return "\n".join(
        [
            "#!/bin/bash",
            *(f"#SBATCH {line}" for line in ("--requeue", *told, *options.lines)),
            f"cd {shlex.quote(str(Path.cwd()))} || exit",
            *exports,
            *options.setup,
            # Until the job listens, what tells it that its time is up would end it; and by exec it is itself the
            # process that SLURM signals.
            f"trap '' {TIME_IS_UP.name.removeprefix('SIG')}",
            f"exec {shlex.quote(sys.executable)} -m {ON_A_NODE} {shlex.quote(str(folder))} $SLURM_ARRAY_TASK_ID",
            "",
        ]
    )
