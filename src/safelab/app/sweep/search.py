"""A sweep that searches: which number of a run it seeks the highest or lowest of, and what came of it."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import yaml
from hydra._internal.hydra import Hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep
from omegaconf import DictConfig

from safelab.app.config.compose import compose
from safelab.app.config.jobs import Job
from safelab.errors import ConfigError, RunFailed, nearest

OPTUNA = "OptunaSweeper"
"""Class of the only sweeper that searches and has been tried here."""

HIGHER = ("reward/", "preference/accuracy")
"""Beginnings of metrics of which more is better: nobody seeks the lowest reward by intention."""

RESULTS_FILE = "optimization_results.yaml"
"""What the sweeper writes into the experiment's folder."""


def metric_of(master: DictConfig) -> str:
    """The metric that a search seeks the best of: ``hydra.sweeper.metric``, else the gold score, else the reward.

    Raises:
        ConfigError: it could not say what is best: another sweeper than Optuna's, several directions, or the lowest
            of a metric of which more is better.
    """
    sweeper = master.hydra.sweeper
    if not str(sweeper["_target_"]).endswith(f".{OPTUNA}"):
        raise ConfigError(
            f"hydra/sweeper must be basic or search, got {sweeper['_target_']}: what another makes of a run's value "
            "is not known here"
        )
    evaluated = master.evaluator.name != "none"
    metric = str(sweeper.get("metric") or ("reward/gold_mean" if evaluated else "reward/mean"))
    direction = getattr(sweeper.direction, "name", sweeper.direction)
    if direction not in ("maximize", "minimize"):
        raise ConfigError(f"hydra.sweeper.direction must be maximize or minimize, got {direction}")
    if direction == "minimize" and metric.startswith(HIGHER):
        raise ConfigError(
            f"hydra.sweeper.direction must be maximize for {metric}, got minimize, which seeks the lowest: take "
            "hydra/sweeper=search as it is, or name what is to be low, as hydra.sweeper.metric=kl/ref_token_exact"
        )
    return metric


def one_of(hydra: Hydra, overrides: Sequence[str], name: str) -> DictConfig:
    """The configuration of one job of a search, at the first of the values that are named for each key."""
    single = []
    for override in OverridesParser.create(hydra.config_loader).parse_overrides([*overrides]):
        if not override.is_sweep_override():
            single.append(str(override.input_line))
            continue
        value = override.value()
        values = [value.start] if isinstance(value, IntervalSweep) else override.sweep_string_iterator()
        first = next(iter(values), "null")
        single.append(f"{override.get_key_element()}={first}")
    kept = [text for text in single if re.match(r"[+~]*hydra[./]", text) is None]  # they are the sweep's
    return compose(hydra, kept, name=name)


def value_of(job: Job, metric: str) -> float:
    """What a finished run is worth to a search: its mean over the report's last updates.

    Raises:
        RunFailed: its rows have no such metric, or one that is no finite number there.
    """
    from safelab.results.runs.measures import final_rows
    from safelab.runlog.reader import read_run

    rows = read_run(job.directory).metrics
    if metric not in rows:
        raise RunFailed(f"{job.name} has no {metric} in its rows: {nearest(metric, map(str, rows))}")
    value = float(rows[metric].tail(final_rows(len(rows))).mean())
    if not math.isfinite(value):
        raise RunFailed(f"{job.name}: {metric} must be a finite number in its last updates, got {value}")
    return value


def best_of(master: DictConfig, metric: str) -> str:
    """One line for the best that the sweeper has found and written down."""
    file = Path(str(master.hydra.sweep.dir), RESULTS_FILE)
    found = yaml.safe_load(file.read_text(encoding="utf-8"))
    given = " ".join(f"{key}={value}" for key, value in found["best_params"].items())
    return f"best: {given}, {metric} {found['best_value']:.4g} ({file})"
