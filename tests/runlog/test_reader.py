import math
from pathlib import Path

import pytest

from safelab.errors import DataError
from safelab.runlog.frame_cache import Damage
from safelab.runlog.reader import find_runs, read_run
from safelab.runlog.schema import RunInfo
from safelab.runlog.writer import RunWriter


def write(directory: Path, rows: list[dict[str, object]]) -> Path:
    info = RunInfo(status="finished", experiment="demo", arm="ppo", seed=0, updates=10)
    with RunWriter.create(directory, {"seed": 0}, ["seed=0"], info) as writer:
        for row in rows:
            writer.row(row)
    return directory


def test_what_was_written_is_read(tmp_path: Path) -> None:
    run = read_run(write(tmp_path, [{"update": 0, "reward/mean": 0.5}, {"update": 1, "reward/mean": 0.75}]))
    assert run.metrics["reward/mean"].tolist() == [0.5, 0.75]
    assert run.metrics["update"].tolist() == [0, 1]
    assert (run.config, run.overrides, run.damaged, run.info.arm) == (
        {"seed": 0, "baseline": None, "correction": {"name": "none"}, "ranks": 1},
        ["seed=0"],
        [],
        "ppo",
    )


def test_a_metric_that_a_row_lacks_is_nan_and_one_that_was_nan_is_counted(tmp_path: Path) -> None:
    rows = [{"update": 0, "a": 1.0, "b": math.nan}, {"update": 1, "b": math.inf}, {"update": 2, "a": 3, "b": -math.inf}]
    run = read_run(write(tmp_path, rows))
    assert run.metrics["a"].isna().tolist() == [False, True, False]
    assert math.isnan(run.metrics["b"][0])
    assert run.metrics["b"].tolist()[1:] == [math.inf, -math.inf]
    assert run.non_finite == {"b": 3}


def test_a_metric_of_an_older_run_has_todays_name(tmp_path: Path) -> None:
    # An older version began the run, this one went on with it.
    rows = [{"update": 0, "controller/coef": 0.25}, {"update": 1, "controller/kl_slope": 0.5}]
    metrics = read_run(write(tmp_path, rows)).metrics
    assert metrics["controller/kl_slope"].tolist() == [0.25, 0.5]
    assert "controller/coef" not in metrics


def test_text_metrics_stay_text(tmp_path: Path) -> None:
    run = read_run(write(tmp_path, [{"update": 0, "controller/phase": "WARMUP"}, {"update": 1}]))
    assert run.metrics["controller/phase"].tolist() == ["WARMUP", None]


def test_damaged_lines_are_skipped_named_and_counted(tmp_path: Path) -> None:
    write(tmp_path, [])
    (tmp_path / "metrics.jsonl").write_bytes(
        b'{"update":0,"a":1}\n{"update":1,"a"\n[]\n{"a":2}\n{"update":-1}\n\xff\xfe\n{"update":2,"a":3}\n{"update":3,"a":'
    )
    run = read_run(tmp_path)
    assert run.metrics["a"].tolist() == [1, 3]
    assert [(damage.file, damage.line) for damage in run.damaged] == [("metrics.jsonl", n) for n in (2, 3, 4, 5, 6, 8)]


def test_of_a_repeated_update_the_last_stands(tmp_path: Path) -> None:
    run = read_run(write(tmp_path, [{"update": 0, "a": 1}, {"update": 1, "a": 2}, {"update": 0, "a": 9}]))
    assert run.metrics["a"].tolist() == [9, 2]
    assert run.damaged == [Damage(file="metrics.jsonl", line=1, reason="update 0 comes again in line 3, which stands")]


def test_a_run_that_has_only_begun_has_no_rows(tmp_path: Path) -> None:
    run = read_run(write(tmp_path, []))
    assert len(run.metrics) == 0
    assert "update" in run.metrics


@pytest.mark.parametrize("content", [None, "a: [", "- 1\n"])
def test_a_bad_configuration_is_damage_and_no_more(tmp_path: Path, content: str | None) -> None:
    write(tmp_path, [{"update": 0}])
    if content is None:
        (tmp_path / "config.yaml").unlink()
    else:
        (tmp_path / "config.yaml").write_text(content)
    run = read_run(tmp_path)
    assert run.config == {}
    assert [(damage.file, damage.line) for damage in run.damaged] == [("config.yaml", 0)]


def test_a_configuration_is_data_and_makes_no_objects(tmp_path: Path) -> None:
    write(tmp_path, [])
    (tmp_path / "config.yaml").write_text("a: !!python/object/apply:os.getcwd []\n")
    assert read_run(tmp_path).config == {}


def test_a_route_that_an_older_run_wrote_as_text_is_a_group(tmp_path: Path) -> None:
    write(tmp_path, [])
    (tmp_path / "config.yaml").write_text("controller: {route: loss_k2, kl_signal: exact}\nseed: 3\n")
    route = {"route": {"name": "loss_k2"}, "kl_signal": "exact"}
    assert read_run(tmp_path).config == {
        "controller": route,
        "seed": 3,
        "baseline": None,
        "correction": {"name": "none"},
        "ranks": 1,
    }


@pytest.mark.parametrize("content", [None, "{", '{"status": "done"}', '{"status": "finished", "seed": "x"}'])
def test_what_is_no_run_raises(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(DataError, match="run"):
        read_run(tmp_path)


def test_runs_are_found_below_folders_by_globs_and_once_each(tmp_path: Path) -> None:
    first, second = write(tmp_path / "e/a/seed_0", []), write(tmp_path / "e/b/seed_0", [])
    write(first / "checkpoints/inner", [])
    (tmp_path / "e/report").mkdir()
    (tmp_path / "link").symlink_to(first)
    assert find_runs([tmp_path / "e"]) == [first, second]
    assert find_runs([first, str(tmp_path / "e/*/seed_0"), tmp_path / "link"]) == [first, second]
    assert find_runs([str(tmp_path / "**/b")]) == [second]


@pytest.mark.parametrize(
    ("name", "message"), [("none", "existing"), ("file", "got a file"), ("empty", "at least one run")]
)
def test_a_path_without_runs_is_one_message(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=message):
        find_runs([tmp_path / name])


def test_a_glob_that_matches_nothing_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\* must hold at least one run"):
        find_runs([str(tmp_path / "nothing*")])
