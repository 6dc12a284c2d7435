"""Parsed rows are kept for long runs, equal to a fresh parse, and never trusted once the file has changed."""

import os
from pathlib import Path

import pandas as pd

from safelab.runlog.frame_cache import WORTH_KEEPING
from safelab.runlog.reader import RunRecord, read_run
from safelab.runlog.schema import RunInfo
from safelab.runlog.writer import RunWriter


def long_run(directory: Path, first: float = 0.5) -> Path:
    rows = WORTH_KEEPING // 40
    info = RunInfo(status="finished", experiment="e", arm="a", seed=0, updates=rows)
    with RunWriter.create(directory, {}, [], info) as writer:
        for update in range(3):
            writer.row({"update": update, "reward/mean": first + update, "controller/phase": "WARMUP"})
        writer.row({"update": 3, "reward/mean": float("nan"), "kl/x": 1e-300})
    with (directory / "metrics.jsonl").open("a") as file:
        file.write("half a li\n")
        file.writelines(
            f'{{"update":{update},"reward/mean":0.1,"kl/x":2,"controller/coef":3}}\n' for update in range(4, rows)
        )
    return directory


def assert_same(left: RunRecord, right: RunRecord) -> None:
    pd.testing.assert_frame_equal(left.metrics, right.metrics, check_exact=True)
    assert [(each.line, each.reason) for each in left.damaged] == [(each.line, each.reason) for each in right.damaged]
    assert left.metrics["controller/kl_slope"].iloc[-1] == right.metrics["controller/kl_slope"].iloc[-1] == 3
    assert left.non_finite == right.non_finite == {"reward/mean": 1}


def test_what_is_kept_is_what_was_parsed(tmp_path: Path) -> None:
    run, cache = long_run(tmp_path / "run"), tmp_path / "cache"
    fresh = read_run(run)
    assert_same(read_run(run, cache), fresh)
    (kept,) = cache.iterdir()
    before = kept.stat().st_mtime_ns
    assert_same(read_run(run, cache), fresh)
    assert kept.stat().st_mtime_ns == before


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    read_run(long_run(tmp_path / "run"), cache)
    again = read_run(long_run(tmp_path / "run", first=0.7), cache)
    assert again.metrics["reward/mean"][0] == 0.7
    assert len(list(cache.iterdir())) == 1


def test_a_damaged_or_unwritable_cache_costs_time_only(tmp_path: Path) -> None:
    run, cache = long_run(tmp_path / "run"), tmp_path / "cache"
    fresh = read_run(run, cache)
    (kept,) = cache.iterdir()
    os.truncate(kept, 1000)
    assert_same(read_run(run, cache), fresh)
    taken = tmp_path / "taken"
    taken.write_text("a file where the cache should be")
    assert_same(read_run(run, taken), fresh)


def test_short_runs_leave_nothing_behind(tmp_path: Path) -> None:
    info = RunInfo(status="finished", experiment="e", arm="a", seed=0, updates=1)
    with RunWriter.create(tmp_path / "run", {}, [], info) as writer:
        writer.row({"update": 0, "reward/mean": 0.5})
    read_run(tmp_path / "run", tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
