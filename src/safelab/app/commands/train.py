"""``safelab train``: one run in this process, or a sweep through a launcher. Nothing is made before all is checked."""

import sys
from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import yaml
from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from safelab.app.config.compose import CONFIG_NAME, compose, explained, opened, parse
from safelab.app.config.help import about, overview
from safelab.app.config.jobs import Job, overrides_of, to_job
from safelab.app.config.launchers import is_here, site_of
from safelab.app.config.names import Labels, swept
from safelab.app.config.preflight import check_options, preflight
from safelab.app.sweep.expand import alike, at_once, compose_jobs, expand, is_sweep, jobs_of, shared, the_one, told_of
from safelab.app.sweep.fork_server import warm
from safelab.app.sweep.lock import alone
from safelab.app.sweep.run_job import run_job
from safelab.app.sweep.search import best_of, metric_of, one_of, value_of
from safelab.app.sweep.worlds import prepare_policies
from safelab.errors import INTERRUPTED, ConfigError, OwnCodeFailed, RunFailed, printable, printable_lines

DRY, NOT_DRY = "dry_run=true", "dry_run=false"
"""Not keys of the configuration: what they ask for belongs to no run."""

MANY_JOBS = 30
"""From here on the checks take long enough (about 0.2 s a job) to be announced."""


def main(arguments: Sequence[str]) -> int:
    """What ``safelab train`` does with its arguments; returns the exit code.

    Raises:
        UserError: the configuration is wrong, in one message.
        RunFailed: a run began and could not go on.
    """
    flags = parse(arguments)
    name = flags.config_name or CONFIG_NAME
    overrides = [override for override in flags.overrides if override not in (DRY, NOT_DRY)]
    dry = DRY in flags.overrides
    flags.overrides = overrides
    if flags.help and not any("=" not in override for override in overrides):
        print("\n".join(overview()))
        return 0
    with opened(flags.config_dir, flags.config_path) as hydra:
        if flags.help or flags.hydra_help or flags.cfg or flags.info or flags.shell_completion:
            return show(hydra, flags, name)
        many = flags.multirun or is_sweep(hydra, overrides, name)
        if many and not dry:
            return sweep(hydra, overrides, name)
        if not many:
            job = to_job(compose(hydra, overrides, name=name))
            return estimate([job]) if dry else single(job)
        here = is_here(shared(hydra, overrides, name)[0].hydra.launcher)
        return estimate(jobs_of(hydra, overrides, name), here)


def show(hydra: Hydra, flags: Namespace, name: str) -> int:
    """Hydra's own answers: ``--help``, ``--hydra-help``, ``--cfg``, ``--info``, ``-sc``."""
    parser, overrides = get_args_parser(), list(flags.overrides)
    with_arms = any(override.startswith("arms=") for override in overrides)
    if flags.multirun or (with_arms and flags.cfg == "job"):
        return show_jobs(jobs_of(hydra, overrides, name))
    if with_arms:
        overrides = the_one(hydra, overrides, name, "--cfg" if flags.cfg else "--info")
    try:
        with explained(hydra, overrides, name):
            if flags.help:
                print("\n".join(about(hydra, overrides, name)))
            elif flags.hydra_help:
                hydra.hydra_help(config_name=name, args_parser=parser, args=flags)
            elif flags.cfg:
                hydra.show_cfg(name, overrides, flags.cfg, flags.package, flags.resolve)
            elif flags.info:
                hydra.show_info(flags.info, config_name=name, overrides=overrides)
            else:
                hydra.shell_completion(config_name=name, overrides=overrides)
    except SystemExit as end:  # Hydra has said why, as for an unknown --package
        return ConfigError.exit_code if end.code else 0
    return 0


def show_jobs(jobs: Sequence[Job]) -> int:
    """The resolved configuration of each job of a sweep, as one YAML document each."""
    for job in jobs:
        text = yaml.safe_dump(dict(job.config), sort_keys=False, allow_unicode=True)
        print(f"--- # {printable(job.name)}\n{text}", end="")
    return 0


def estimate(jobs: Sequence[Job], here: bool = True) -> int:
    """Check all runs and say what each would be and need, once for runs that differ in their seeds alone."""
    from safelab.app.dry_run import estimate as dry_run

    check_options(jobs, here)
    arms: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        arms[job.config["arm"]].append(job)
    first: Job | None = None
    for arm, same in arms.items():
        if len(jobs) > 1:
            print(f"=== {printable(arm)}, seeds {', '.join(str(job.config['seed']) for job in same)}")
        dry_run.show(same[0].config, first.config if first is not None else None, here)
        first = first or same[0]
    for line in alike(jobs):
        print(f"note: {line}")
    return 0


def single(job: Job) -> int:
    """One run, here and now."""
    preflight([job])
    outcome = run_job(job)
    if outcome.expected:
        print(f"{outcome.reason}; the same command goes on from there: {outcome.directory}")
        return 0
    if outcome.status == "interrupted":
        print(f"interrupted: {outcome.reason}; the same command goes on from there", file=sys.stderr)
        return INTERRUPTED
    if outcome.status in ("failed", "diverged"):
        own = getattr(outcome.error, "exit_code", None) == OwnCodeFailed.exit_code
        failed = OwnCodeFailed if own else RunFailed
        raise failed(f"{job.name}: {outcome.reason} ({outcome.directory})") from outcome.error
    if outcome.status == "helped":
        return 0
    print(f"{'finished already' if outcome.status == 'skipped' else 'finished'}: {outcome.directory}")
    return 0


@dataclass(frozen=True, slots=True)
class JobFunction:
    """What launchers that are not ours call for each job; ours takes the ``jobs`` that were composed for the checks.

    ``labels``: what the names of a sweep's arms show; see ``names.swept``.
    """

    jobs: Mapping[tuple[str, ...], Job]
    labels: Labels
    metric: str | None = None

    def __call__(self, config: DictConfig) -> float | None:
        """Run one job; a sweeper that searches wants its value by ``metric``.

        Raises:
            RunFailed: the run could not go on.
        """
        node = HydraConfig.get()
        shared = at_once(DictConfig({"hydra": node}), 1)
        job = self.jobs.get(tuple(overrides_of(node))) or to_job(config, node, self.labels, shared)
        outcome = run_job(job)
        if outcome.status in ("failed", "diverged", "interrupted") and not outcome.expected:
            raise RunFailed(f"{job.name}: {outcome.reason} ({outcome.directory})")
        return None if self.metric is None else value_of(job, self.metric)


def sweep(hydra: Hydra, overrides: list[str], name: str) -> int:
    """Every job of a sweep, by the launcher that the configuration names; goes on past those that fail."""
    master, arms = shared(hydra, overrides, name)
    if site_of(master.hydra.launcher) == "local":
        warm()  # its imports take seconds, and the checks below leave a core free
    if not master.hydra.sweeper["_target_"].endswith("BasicSweeper"):
        if arms is not None:
            raise ConfigError("hydra/sweeper must be basic where a sweep has arms: a sweeper that searches has none")
        return search(hydra, master, name)
    batches = expand(hydra, master, arms)
    every = [tuple(job) for batch in batches for job in batch]
    if len(every) > MANY_JOBS:
        print(f"checking {len(every)} jobs", flush=True)
    jobs = compose_jobs(hydra, master, every, name)
    preflight(jobs, is_here(master.hydra.launcher))
    for line in alike(jobs):
        print(f"note: {printable(line)}", file=sys.stderr)
    with alone(jobs):  # found out before anything slow is made
        prepare_policies(jobs)
    context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks(master))
    with explained(hydra, overrides, name):
        function = JobFunction(dict(zip(every, jobs, strict=True)), swept(told_of(hydra, master)))
        launcher = Plugins.instance().instantiate_launcher(context, function, master)
    returns: list[JobReturn] = []
    with alone(jobs):
        for batch in batches:
            with others_code(master):
                returns += launcher.launch(batch, initial_job_idx=len(returns))
    return report(returns)


def search(hydra: Hydra, master: DictConfig, name: str) -> int:
    """Jobs that a sweeper chooses by the values of those before them; they are not known beforehand.

    Raises:
        RunFailed: no job gave a value.
    """
    metric = metric_of(master)
    told = overrides_of(master.hydra)
    with explained(hydra, told, name):
        preflight([to_job(one_of(hydra, told, name))], is_here(master.hydra.launcher))
        context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks(master))
        with open_dict(master.hydra.sweeper):
            master.hydra.sweeper.pop("metric", None)  # it is ours, and no argument of the sweeper's
        function = JobFunction({}, swept(told_of(hydra, master)), metric)
        sweeper = Plugins.instance().instantiate_sweeper(config=master, hydra_context=context, task_function=function)
    print(f"search: {master.hydra.sweeper.direction} {metric}, its mean over each run's last tenth", flush=True)
    try:
        with others_code(master):
            sweeper.sweep(arguments=told)
    except ValueError as error:
        raise RunFailed(f"the search ended without a best run: {error}") from error
    print(best_of(master, metric))
    return 0


@contextmanager
def others_code(master: DictConfig) -> Iterator[None]:
    """What a launcher that is neither ours nor Hydra's raises, as where a job was killed, ends in one message.

    Raises:
        RunFailed: naming the launcher, what it raised, and what to do.
    """
    if is_here(master.hydra.launcher) or site_of(master.hydra.launcher) is not None:
        yield
        return
    from safelab.foreign import calling  # imports torch, which --help does without

    name = master.hydra.runtime.choices.get("hydra/launcher")
    ended = f"hydra/launcher={name} gave the sweep up (the same command goes on with what is missing): it"
    with calling(ended, RunFailed):
        yield


def report(returns: Sequence[JobReturn]) -> int:
    """Say how a sweep went; returns the exit code."""
    failed = [job for job in returns if job.status is not JobStatus.COMPLETED]
    print(f"{len(returns) - len(failed)} of {len(returns)} jobs are done")
    for job in failed:
        print(f"failed: {printable_lines(str(job._return_value))}", file=sys.stderr)  # the property would raise it
    return RunFailed.exit_code if failed else 0
