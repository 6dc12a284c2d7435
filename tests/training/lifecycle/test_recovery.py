"""guard=rollback on whole runs: what comes back, with which rates, and that a kill at any moment changes nothing."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from safelab.contracts import Remedy
from safelab.training.lifecycle import checkpoint, recovery
from safelab.training.lifecycle.run import Outcome, train
from safelab.training.state import Recovery, initial_state
from support.pairs import offline
from support.runs import numbers, parts_of, run, small

# At this rate the weights overflow in the first step; the first rollback brings it to 1e-3.
WILD = ("guard=rollback", "optimizer.lr=1e30", "optimizer.critic_lr=1e-3", "guard.lr_factor=1e-33", "updates=3")
# With this KL ceiling and rate the guard objects after some updates, more than once.
TOUCHY = ("guard=rollback", "guard.kl_ceiling=0.18", "optimizer.lr=3e-3", "checkpoint.every=2", "updates=10")


def events_of(directory: Path, kind: str = "rollback") -> list[dict[str, Any]]:
    lines = (directory / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["kind"] == kind]


def test_a_run_that_overflows_goes_back_and_on_with_lower_rates(tmp_path: Path) -> None:
    outcome, rows = run(small(tmp_path, *WILD))
    assert outcome.status == "finished"
    assert [row["update"] for row in rows] == [0, 1, 2]
    assert all(math.isclose(row["policy/lr"], 1e-3) for row in rows)
    assert [row["guard/rollbacks"] for row in rows] == [1, 1, 1]
    (event,) = events_of(outcome.directory)
    assert (event["number"], event["update"], event["restored"], event["lr_scale"]) == (1, 0, 0, 1e-33)
    assert "must be finite" in event["reason"]


def test_its_rows_are_those_of_a_run_that_had_the_lower_rates_from_the_start(tmp_path: Path) -> None:
    for name in ("wild", "calm"):
        (tmp_path / name).mkdir()
    calm = [f"optimizer.lr={1e30 * 1e-33!r}", f"optimizer.critic_lr={1e-3 * 1e-33!r}", *WILD[3:]]
    _, rows = run(small(tmp_path / "wild", *WILD))
    _, expected = run(small(tmp_path / "calm", "guard=rollback", *calm))
    drop = "guard/rollbacks".__eq__
    assert numbers(rows, drop) == numbers(expected, drop)


def test_rows_after_the_checkpoint_are_replaced(tmp_path: Path) -> None:
    outcome, rows = run(small(tmp_path, *TOUCHY, "guard.max_rollbacks=9"))
    done = events_of(outcome.directory)
    assert len(done) >= 2
    assert all(one["restored"] % 2 == 0 and one["restored"] < one["update"] for one in done)
    assert [row["update"] for row in rows] == list(range(len(rows)))
    first, last = done[0]["restored"], done[-1]["restored"]
    rates = [row["policy/lr"] for row in rows]
    assert rates[:first] == [3e-3] * first
    assert rates[last:] == [3e-3 * 0.5 ** len(done)] * len(rates[last:])


def test_after_the_last_rollback_the_run_ends_as_diverged(tmp_path: Path) -> None:
    config = small(tmp_path, *WILD[:3], "guard.lr_factor=0.5", "guard.max_rollbacks=2", "updates=3")
    outcome = train(parts_of(config), config, [], "test")
    assert outcome.status == json.loads((outcome.directory / "run.json").read_text())["status"] == "diverged"
    assert str(outcome.reason).endswith("after 2 rollbacks")
    assert [event["number"] for event in events_of(outcome.directory)] == [1, 2]
    assert len(events_of(outcome.directory, "guard")) == 1


def test_the_penalty_grows_and_stays_so(tmp_path: Path) -> None:
    config = small(tmp_path, "algorithm=ppo_matched", *TOUCHY, "guard.lr_factor=1", "guard.kl_coef_factor=3")
    outcome, rows = run({**config, "guard": {**config["guard"], "max_rollbacks": 1}})
    (event,) = events_of(outcome.directory)
    plain, risen = rows[0], rows[event["restored"]]
    assert risen["guard/kl_coef_scale"] == event["kl_coef_scale"] == 3.0
    assert math.isclose(risen["controller/kl_slope"], 3 * plain["controller/kl_slope"])
    assert risen["policy/lr"] == plain["policy/lr"]


ROLLING = (*TOUCHY, "algorithm=safe", "guard.kl_ceiling=0.14", "guard.max_rollbacks=9")


@pytest.fixture(scope="module")
def rolled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, list[dict[str, Any]], Path]:
    """A run with rollbacks, its rows, and the outputs of the same run cut short after its last rollback."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("whole", "cut")}
    whole, rows = run(small(folders["whole"], *ROLLING))
    assert len(events_of(whole.directory)) >= 2
    at = events_of(whole.directory)[-1]["restored"]
    cut, _ = run(small(folders["cut"], *ROLLING, f"updates={at + 1}"))
    assert events_of(cut.directory)
    return whole, rows, cut.directory


@pytest.mark.parametrize("lost", ["nothing", "the event", "the newest checkpoint", "rows were not cut"])
def test_a_run_with_rollbacks_goes_on_to_the_rows_of_an_uninterrupted_one(
    lost: str, rolled: tuple[Outcome, list[dict[str, Any]], Path], tmp_path: Path
) -> None:
    whole, rows, cut = rolled
    directory = tmp_path / cut.relative_to(cut.parents[3])
    shutil.copytree(cut, directory)
    checkpoints = directory / "checkpoints"
    if lost == "the event":
        (directory / "events.jsonl").write_text("")
    elif lost == "the newest checkpoint":
        shutil.rmtree(checkpoint.checkpoints_in(checkpoints)[-1])
    elif lost == "rows were not cut":
        newest = checkpoint.checkpoints_in(checkpoints)[-1]
        shutil.rmtree(newest)
        with (directory / "metrics.jsonl").open("a") as file:
            file.write('{"update":99}\n')
    # The configuration of the run that was cut, in a place of its own.
    resumed, again = run({**small(cut.parents[3], *ROLLING), "output_dir": str(tmp_path / "outputs")})
    assert resumed.directory == directory
    assert resumed.status == whole.status
    assert numbers(again) == numbers(rows)
    assert events_of(resumed.directory) == events_of(whole.directory)


def test_the_scales_multiply_up() -> None:
    remedy = Remedy(max_rollbacks=5, lr_factor=0.5, kl_coef_factor=2.0)
    history = Recovery()
    for number in range(3):
        history = recovery.with_one_more(history, remedy, update=9, restored=number, reason="r")
    assert (history.lr_scale, history.kl_coef_scale) == (0.125, 8.0)
    assert [one.number for one in history.rollbacks] == [1, 2, 3]


def test_a_checkpoint_older_than_the_last_rollback_takes_all_its_factors(tmp_path: Path) -> None:
    parts = parts_of(small(tmp_path, "guard=rollback", "updates=1"))
    outcome = train(parts, small(tmp_path, "guard=rollback", "updates=1"), [], "test")

    state = initial_state(parts)
    remedy = parts.guard.remedy
    assert remedy is not None
    before = recovery.with_one_more(Recovery(), remedy, update=7, restored=3, reason="earlier")
    back = recovery.roll_back(
        parts,
        # As after a rollback whose own checkpoint was damaged since.
        replace(state, recovery=before),
        checkpoint.checkpoints_in(outcome.directory / "checkpoints")[0],
        9,
        "again",
    )
    assert back.optimizers.policy.param_groups[0]["lr"] == 3e-4 * 0.25
    assert back.recovery.lr_scale == 0.25


def test_a_run_that_learns_from_pairs_goes_back_too(tmp_path: Path) -> None:
    outcome, rows = run(offline(tmp_path, "algorithm=dpo", *WILD[:2], *WILD[3:], "pairs.evaluate_every=1"))
    assert outcome.status == "finished"
    assert [row["guard/rollbacks"] for row in rows] == [1, 1, 1]
    assert [event["restored"] for event in events_of(outcome.directory)] == [0]
