"""Safelab from Python, for notebooks: the words of the command line, checked alike; frames and figures in return.

    from safelab import compose, report, train

    run = train(compose("algorithm=safe", "updates=20"))
    run.frame                            # a row an update
    run.figure("reward/mean")
    study = report("outputs/default", baseline="ppo")
    study.arms                           # a row an arm, with intervals

A mistake raises a ``safelab.errors.UserError`` with the message that the command line would print. Sweeps stay with
the command line, which gives each run a process of its own.
"""

import os
import shlex
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from safelab.app.cli import check_platform, find_modules_here
from safelab.app.config.compose import CONFIG_NAME, opened
from safelab.app.config.compose import compose as composed
from safelab.app.config.jobs import Job, to_job
from safelab.app.config.places import cache_directory
from safelab.app.config.preflight import check_options, preflight
from safelab.app.sweep.expand import is_sweep
from safelab.app.sweep.run_job import run_job
from safelab.errors import ConfigError, DataError, RunFailed
from safelab.results.page.document import Choices, build_report
from safelab.results.page.interactive import figure
from safelab.results.page.save import save
from safelab.results.page.tables import runs_frame, summary_frame
from safelab.results.runs.load import RunSet, load
from safelab.runlog.reader import read_run

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from safelab.results.model import Report

Place = str | os.PathLike[str]

ONE_AT_A_TIME = threading.Lock()
"""Hydra is one for the whole process: threads that compose wait for one another."""


def compose(*overrides: str, config_dir: Place | None = None) -> Job:
    """The run that ``overrides`` describe, checked whole; nothing is made.

    Args:
        overrides: what would stand behind ``safelab train``, a word each: ``"algorithm=safe"``, ``"seed=1"``.
        config_dir: groups of your own, as ``--config-dir``.

    Returns:
        Its ``config`` (plain values), its ``name`` and the ``directory`` it will have.

    Raises:
        ConfigError: a word is wrong, or asks for several runs.
    """
    check_platform(sys.platform)
    find_modules_here()
    words = list(overrides)
    for word in words:
        if not isinstance(word, str):
            raise ConfigError(
                f"compose must be given text, a word each, got {word!r}: as in compose('algorithm=safe', 'seed=1'), "
                "and a list as compose(*words)"
            )
    with ONE_AT_A_TIME, opened(None if config_dir is None else os.fspath(config_dir)) as hydra:
        if is_sweep(hydra, words, CONFIG_NAME):
            raise ConfigError(
                f"compose must be given one run, got several in {shlex.join(words)!r}: compose each, "
                "or run the sweep as `safelab train -m`"
            )
        job = to_job(composed(hydra, words))
    check_options([job])
    return job


def train(run: Job) -> "Run":
    """Train ``run`` in this process, or go on with it where it was interrupted; a finished one is left as it is.

    Its parts may come from the notebook itself, as ``reward=function reward.name=__main__:my_reward``.

    Raises:
        UserError: something that it needs is missing or wrong; nothing was made.
        RunFailed: it began and could not go on; its directory says why.
    """
    if not isinstance(run, Job):
        raise ConfigError(f"train must be given what compose returns, got {run!r}: as in train(compose('updates=20'))")
    preflight([run])
    outcome = run_job(run, command=shlex.join(["safelab", "train", *run.overrides]))
    if outcome.status in ("failed", "diverged"):
        raise RunFailed(f"{run.name}: {outcome.reason} ({outcome.directory})") from outcome.error
    return Run(outcome.directory)


def report(
    *places: Place, baseline: str | None = None, metrics: Sequence[str] = (), include_unfinished: bool = False
) -> "Study":
    """What the runs below ``places`` say, as ``safelab report`` does.

    Args:
        places: run directories, folders above some, globs, or tables in long form.
        baseline: the arm that the others are compared with; None: the one that the sweep names, if any.
        metrics: measures or logged metrics to put first; the first one leads the verdict.
        include_unfinished: let runs that did not finish enter the numbers.

    Raises:
        DataError: there is no run, or no such arm or metric.
    """
    for place in places:
        if not isinstance(place, str | os.PathLike):
            raise DataError(f"report must be given paths, got {place!r}: several as report('one', 'two')")
    if not places:
        raise DataError("report must be given at least one path, got none: as in report('outputs/default')")
    if isinstance(metrics, str):
        raise DataError(f"metrics must be a list of names, got {metrics!r}: as in metrics=[{metrics!r}]")
    folders = [os.fspath(place) for place in places]
    loaded = load(folders, cache=cache_directory() / "report", unfinished=include_unfinished)
    named = [] if baseline is None else ["--baseline", baseline]
    asked = [word for name in metrics for word in ("--metric", name)]
    all_runs = ["--include-unfinished"] if include_unfinished else []
    command = shlex.join(["safelab", "report", *folders, *named, *asked, *all_runs])
    return Study(loaded, build_report(loaded, Choices(baseline=baseline, metrics=metrics, command=command)))


@dataclass(frozen=True)
class Run:
    """A run directory, finished or not; its path is absolute, so that it stays the same run in another folder."""

    path: Path

    def __init__(self, path: Place) -> None:
        object.__setattr__(self, "path", Path(path).absolute())

    @property
    def status(self) -> str:
        """``finished``, ``running``, ``interrupted``, ``failed`` or ``diverged``."""
        return read_run(self.path).info.status

    @property
    def frame(self) -> pd.DataFrame:
        """A row an update, a column a metric, as ``docs/metrics.md`` defines them."""
        return read_run(self.path).metrics

    def figure(self, metric: str) -> "go.Figure":
        """The curve of a metric over the updates.

        Raises:
            DataError: the run has no such metric.
        """
        return figure(load([self.path], unfinished=True), metric)


@dataclass(frozen=True)
class Study:
    """Runs compared. ``report`` is every number of the page, as ``report.json`` holds it."""

    loaded: RunSet
    report: "Report"

    @property
    def verdict(self) -> Sequence[str]:
        """What differs and how sure that is, a sentence each."""
        return self.report.verdict

    @property
    def limits(self) -> Sequence[str]:
        """What these runs cannot say, a sentence each."""
        return self.report.limits

    @property
    def arms(self) -> pd.DataFrame:
        """A row an arm: means over seeds with 95 % intervals, and runs that crashed."""
        return summary_frame(self.report)

    @property
    def runs(self) -> pd.DataFrame:
        """A row a run: its own means, how it ended, and whether it counts."""
        return runs_frame(self.report)

    @property
    def rows(self) -> pd.DataFrame:
        """A row an update of every run, with ``arm`` and ``seed`` in front."""
        parts = [run.record.metrics.assign(arm=run.arm, seed=run.seed) for run in self.loaded.runs if not run.duplicate]
        whole = pd.concat(parts, ignore_index=True)
        return whole[["arm", "seed", *(name for name in whole if name not in ("arm", "seed"))]]

    def figure(self, metric: str) -> "go.Figure":
        """The curves of a metric: each arm's mean, the range of its seeds, and every seed.

        Raises:
            DataError: no run has such a metric.
        """
        return figure(self.loaded, metric, [arm.name for arm in self.report.arms])

    def save(self, directory: Place) -> Path:
        """Write the page, tables and figures into ``directory``; returns the page.

        Raises:
            DataError: it cannot be written.
        """
        return save(self.report, Path(directory))
