"""A sweep that searches: what it seeks, and what a job is worth to it."""

from math import inf, nan
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from omegaconf import DictConfig

from safelab.app.config.compose import compose, opened
from safelab.app.config.jobs import Job
from safelab.app.sweep.search import best_of, metric_of, one_of, value_of
from safelab.errors import ConfigError, RunFailed


def sweep(evaluator: str = "none", **sweeper: object) -> DictConfig:
    """A composed sweep, as far as a search looks at it."""
    node = {"_target_": "x.OptunaSweeper", "direction": "maximize", "metric": None, **sweeper}
    return DictConfig({"evaluator": {"name": evaluator}, "hydra": {"sweeper": node}})


def test_the_metric_is_the_gold_score_where_there_is_one() -> None:
    assert metric_of(sweep("gold_reviews")) == "reward/gold_mean"
    assert metric_of(sweep()) == "reward/mean"
    assert metric_of(sweep("gold_reviews", metric="reward/mean")) == "reward/mean"
    assert metric_of(sweep(metric="kl/ref_token_exact", direction="minimize")) == "kl/ref_token_exact"


@pytest.mark.parametrize(
    ("sweeper", "told"),
    [
        ({"direction": "minimize"}, "hydra.sweeper.direction must be maximize for reward/mean, got minimize"),
        ({"direction": ["maximize", "minimize"]}, "hydra.sweeper.direction must be maximize or minimize, got "),
        ({"_target_": "x.NevergradSweeper"}, "hydra/sweeper must be basic or search, got x.NevergradSweeper"),
    ],
)
def test_a_search_that_could_call_the_worst_run_best_is_refused(sweeper: dict, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        metric_of(sweep(**sweeper))
    assert str(error.value).startswith(told)


def test_the_shipped_sweeper_maximises_and_wants_its_package() -> None:
    words = ["hydra/sweeper=optuna", "optimizer.lr=interval(1e-5,1e-3)"]  # the plugin's own name stands for ours
    with (
        opened() as hydra,
        pytest.raises(ConfigError, match=r"needs Optuna's sweeper: pip install '\./safelab\[optuna\]'"),
    ):
        compose(hydra, words, multirun=True)


def test_one_job_stands_for_those_that_are_not_known_yet() -> None:
    words = ["optimizer.lr=tag(log,interval(1e-5,1e-3))", "seed=range(3,9)", "algorithm=safe,ppo", "updates=4"]
    with opened() as hydra:
        config = one_of(hydra, [*words, "hydra.sweeper.max_batch_size=3"], "config")
    assert (config.optimizer.lr, config.seed, config.updates) == (1e-5, 3, 4)
    assert config.hydra.runtime.choices.algorithm == "safe"


JOB = Job(config={"output_dir": "o", "experiment": "e", "arm": "a", "seed": 0}, overrides=())


def worth(monkeypatch: pytest.MonkeyPatch, values: list[float], metric: str = "reward/mean") -> float:
    """Of a run with one metric."""
    found = SimpleNamespace(metrics=pd.DataFrame({"reward/mean": values}))
    monkeypatch.setattr("safelab.runlog.reader.read_run", lambda directory: found)
    return value_of(JOB, metric)


def test_a_run_is_worth_the_mean_of_its_last_tenth(monkeypatch) -> None:
    assert worth(monkeypatch, [*range(18), 5.0, 7.0]) == 6.0
    assert worth(monkeypatch, [1.0, 2.0]) == 2.0


@pytest.mark.parametrize("values", [[1.0, nan], [1.0, inf]])
def test_a_run_without_a_finite_value_has_none(monkeypatch, values: list[float]) -> None:
    with pytest.raises(RunFailed, match="a seed 0: reward/mean must be a finite number in its last updates"):
        worth(monkeypatch, values)
    with pytest.raises(RunFailed, match="has no reward/men in its rows: did you mean 'reward/mean'"):
        worth(monkeypatch, values, "reward/men")


def test_the_best_is_said_in_one_line(tmp_path: Path) -> None:
    found = "name: optuna\nbest_params: {optimizer.lr: 0.1}\nbest_value: 2.5\n"
    (tmp_path / "optimization_results.yaml").write_text(found)
    master = DictConfig({"hydra": {"sweep": {"dir": str(tmp_path)}}})
    assert best_of(master, "reward/mean").startswith("best: optimizer.lr=0.1, reward/mean 2.5 (")
