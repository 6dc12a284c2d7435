"""Runs of two processes from their directory's making to their end: one writer, and all end together."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from safelab.contracts import Sampler
from safelab.errors import EngineFailed, RankLost
from safelab.ranks import Ranks
from safelab.training.components import Components
from safelab.training.lifecycle import assist as assisting
from safelab.training.lifecycle.interrupt import left_to_the_first_rank
from safelab.training.lifecycle.run import Outcome, train
from safelab.training.loop import Step, train_update
from safelab.training.state import TrainState
from support import runs
from support.ranks import on_ranks
from support.runs import numbers, parts_of, run, small


def take_part(config: dict[str, Any], ranks: Ranks) -> Outcome | None:
    parts = parts_of(config, ranks)
    if ranks.leads:
        return train(parts, config, ["test"], "test")
    return assisting.assist(parts)


def on_two(config: dict[str, Any], **changes: Any) -> tuple[list[Any], list[dict[str, Any]]]:
    """What the two ranks of a run say, and the rows that it leaves."""
    config = {**config, "ranks": 2, **changes}
    said = on_ranks(2, partial(take_part, config))
    directory = Path(config["output_dir"], config["experiment"], config["arm"], f"seed_{config['seed']}")
    rows = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    return said, numbers(rows)


def assert_close(rows: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    for ours, theirs in zip(rows, expected, strict=True):
        for name, value in theirs.items():
            assert ours[name] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-5, abs=1e-6)), name


def test_a_run_goes_on_with_another_number_of_ranks(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    _, expected = run(small(tmp_path / "whole", "algorithm=safe", "updates=6"))
    config = small(tmp_path, "algorithm=safe", "updates=2", "checkpoint.every=2")
    run(config)
    (outcome, _), _ = on_two(config, updates=4)
    assert outcome.status == "finished"
    outcome, rows = run({**config, "updates": 6})
    assert outcome.status == "finished"
    assert_close(numbers(rows), numbers(expected))


def test_all_ranks_go_back_together(tmp_path: Path) -> None:
    wild = ("guard=rollback", "optimizer.lr=1e30", "optimizer.critic_lr=1e-3", "guard.lr_factor=1e-33", "updates=3")
    (tmp_path / "alone").mkdir()
    _, expected = run(small(tmp_path / "alone", *wild))
    said, rows = on_two(small(tmp_path, *wild))
    assert (said[0].status, said[1]) == ("finished", None)
    assert_close(rows, numbers(expected))
    assert rows[-1]["guard/rollbacks"] == 1


def test_a_reward_that_fails_on_another_rank_ends_the_run_as_on_the_first(tmp_path: Path) -> None:
    config = small(tmp_path, "updates=5")

    def take(ranks: Ranks) -> Outcome | None:
        calls = []

        def score(prompts: Any, responses: Any) -> list[float]:
            calls.append(len(responses))
            if len(calls) == 3 and not ranks.leads:
                raise ValueError("the service is away")
            return [0.5] * len(responses)

        runs.share_of_good = score
        return take_part({**config, "ranks": 2}, ranks)

    outcome, other = on_ranks(2, take)
    assert other is None
    assert outcome.status == "failed"
    assert "the service is away" in outcome.reason
    assert len(json.loads((outcome.directory / "failed_reward.json").read_text())["responses"]) == 4
    assert json.loads((outcome.directory / "run.json").read_text())["last_update"] == 1


def test_an_engine_that_fails_on_another_rank_before_it_writes_ends_the_run_for_all(tmp_path: Path) -> None:
    config = small(tmp_path, "updates=3")

    def take(ranks: Ranks) -> Outcome | None:
        calls = []

        @contextmanager
        def within(self: Any, policy: Any) -> Iterator[None]:
            calls.append(policy)
            if len(calls) == 2 and not ranks.leads:
                raise EngineFailed("the engine is out of memory")
            yield

        Sampler.within = within
        return take_part({**config, "ranks": 2}, ranks)

    outcome, other = on_ranks(2, take)
    assert other is None
    assert (outcome.status, outcome.reason) == ("failed", "the engine is out of memory")
    assert json.loads((outcome.directory / "run.json").read_text())["last_update"] == 0


def test_signals_are_left_to_the_first_rank() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with left_to_the_first_rank():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_rank_that_is_killed_ends_the_run_which_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    config = small(tmp_path, "updates=6", "checkpoint.every=2")

    def take(ranks: Ranks) -> Outcome | None:
        def update(parts: Components, state: TrainState) -> Step:
            if state.counters.update == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return train_update(parts, state)

        assisting.update_of = lambda parts: update
        return take_part({**config, "ranks": 2}, ranks)

    outcome, gone = on_ranks(2, take)
    assert gone is None
    assert outcome.status == "failed"
    assert isinstance(outcome.error, RankLost)
    assert "a process of this run is gone" in outcome.reason
    finished, rows = run(config)
    assert finished.status == "finished"
    assert [row["update"] for row in rows] == list(range(6))


def test_the_first_rank_decides_when_time_is_up(tmp_path: Path) -> None:
    config = small(tmp_path, "updates=50", "limit.minutes=0.001")
    (outcome, other), rows = on_two(config)
    assert (outcome.status, outcome.expected, other) == ("interrupted", True, None)
    assert len(rows) == 1
