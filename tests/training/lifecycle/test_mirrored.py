"""What a tracker was shown in the end is metrics.jsonl, whatever was rolled back or interrupted on the way."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from safelab.contracts import Mirror
from safelab.training.lifecycle.mirrored import Mirrored
from safelab.training.lifecycle.run import train
from safelab.training.state import Recovery, Rollback
from support.runs import parts_of, small

TOUCHY = ("guard=rollback", "guard.kl_ceiling=0.1", "optimizer.lr=3e-3", "checkpoint.every=2", "updates=8")


class Recorder(Mirror):
    def __init__(self) -> None:
        self.rows: list[Mapping[str, Any]] = []
        self.shown: list[tuple[int, int]] = []

    def log(self, row: Mapping[str, Any]) -> None:
        self.rows.append(row)

    def samples(self, update: int, records: Sequence[Mapping[str, Any]]) -> None:
        assert self.rows[-1]["update"] == update
        self.shown.append((update, len(records)))

    def finish(self, status: str) -> None:
        self.status = status


def followed(config: dict[str, Any]) -> tuple[Recorder, list[dict[str, Any]]]:
    """What one process shows of a run, and the rows that lie there afterwards."""
    seen = Recorder()
    tracker = SimpleNamespace(start=lambda directory, config, run: seen, tags=["a"], notes=None)
    outcome = train(replace(parts_of(config), tracker=tracker), config, [], "test")
    return seen, [json.loads(line) for line in (outcome.directory / "metrics.jsonl").read_text().splitlines()]


def test_after_rollbacks_the_mirror_is_the_rows(tmp_path: Path) -> None:
    config = small(tmp_path, *TOUCHY, "guard.max_rollbacks=2")
    seen, rows = followed(config)
    assert rows[-1]["guard/rollbacks"] == 2
    assert seen.rows == rows
    assert [update for update, _ in seen.shown] == [0, 2, 4, 6]


def test_a_run_that_went_on_shows_its_whole_curve_again(tmp_path: Path) -> None:
    config = small(tmp_path, "updates=3")
    first, _ = followed({**config, "limit": {"minutes": 1e-9}})
    assert [row["update"] for row in first.rows] == [0]
    second, rows = followed(config)
    assert len(rows) == 3
    assert second.rows == rows
    assert second.shown == [(0, 8), (2, 8)]


def state(rollbacks: int) -> Any:
    one = Rollback(number=1, update=1, restored=0, reason="", lr_scale=1.0, kl_coef_scale=1.0)
    return SimpleNamespace(recovery=Recovery(rollbacks=(one,) * rollbacks))


@pytest.mark.parametrize(
    ("remedy", "rollbacks", "shown"),
    [(None, 0, [0, 1, 2, 3, 4, 5]), (2, 0, [0, 1]), (2, 1, [0, 1]), (2, 2, [0, 1, 2, 3, 4, 5])],
)
def test_a_row_is_held_back_while_a_rollback_may_take_it(
    tmp_path: Path, remedy: int | None, rollbacks: int, shown: list[int]
) -> None:
    for update in (2, 4):
        (tmp_path / f"update_{update:06d}").mkdir()
    guard = SimpleNamespace(remedy=None if remedy is None else SimpleNamespace(max_rollbacks=remedy))
    seen = Recorder()
    mirrored = Mirrored(seen, SimpleNamespace(guard=guard), tmp_path, [{"update": 0}])
    for update in (1, 2, 3, 4, 5):
        mirrored.add({"update": update})
    mirrored.show(state(rollbacks))
    mirrored.show(state(rollbacks))
    assert [row["update"] for row in seen.rows] == shown
    mirrored.cut(4)
    mirrored.add({"update": 4})
    mirrored.show(state(rollbacks), ended=True)
    assert [row["update"] for row in seen.rows][len(shown) :] == ([4] if len(shown) == 6 else [2, 3, 4])
