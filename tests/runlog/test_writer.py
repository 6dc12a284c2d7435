import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml

from safelab.errors import DataError, OutputFailed
from safelab.runlog import durable
from safelab.runlog.schema import RunInfo
from safelab.runlog.writer import RunWriter, read_info

NOBODY = 65534


def info(**changes: object) -> RunInfo:
    base = {"status": "running", "experiment": "demo", "arm": "ppo", "seed": 0, "updates": 10}
    return RunInfo.model_validate({**base, **changes})


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_directory_has_its_files_from_the_start(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path / "run", {"a": {"b": 1}}, ["seed=0"], info()):
        pass
    assert yaml.safe_load((tmp_path / "run/config.yaml").read_text()) == {"a": {"b": 1}}
    assert yaml.safe_load((tmp_path / "run/overrides.yaml").read_text()) == ["seed=0"]
    assert read_info(tmp_path / "run") == info()


def test_each_row_is_in_the_file_when_row_returns(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, {}, [], info()) as writer:
        writer.row({"update": 0, "reward/mean": 0.1})
        assert (tmp_path / "metrics.jsonl").read_text() == '{"update":0,"reward/mean":0.1}\n'


def test_what_is_not_finite_is_written_as_text_in_strict_json(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, {}, [], info()) as writer:
        writer.row({"update": 0, "a": math.nan, "b": math.inf, "c": -math.inf})
    assert lines(tmp_path / "metrics.jsonl") == [{"update": 0, "a": "NaN", "b": "Infinity", "c": "-Infinity"}]


def test_text_of_a_model_survives_even_broken_unicode(tmp_path: Path) -> None:
    text = 'line\none\u2028two \ud800 "quoted" </script>'
    with RunWriter.create(tmp_path, {}, [], info()) as writer:
        writer.samples(3, [{"prompt": "p", "response": text, "reward": 1.0}])
    assert lines(tmp_path / "samples.jsonl") == [{"update": 3, "prompt": "p", "response": text, "reward": 1.0}]


def test_a_row_without_its_update_is_refused(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, {}, [], info()) as writer, pytest.raises(ValueError, match="update"):
        writer.row({"reward/mean": 0.1})


def test_update_info_changes_the_record_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, {}, [], info(note="kept")) as writer:
        writer.update_info(status="failed", reason="loss is NaN", seconds=1.5)
    saved = json.loads((tmp_path / "run.json").read_text())
    assert (saved["status"], saved["reason"], saved["seconds"], saved["note"]) == ("failed", "loss is NaN", 1.5, "kept")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "overrides.yaml", "run.json"]


def test_reopen_cuts_what_comes_again(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, {}, [], info()) as writer:
        for update in range(5):
            writer.row({"update": update})
            writer.samples(update, [{"response": "a"}, {"response": "b"}])
            writer.event({"update": update, "kind": "stop"})
    with RunWriter.reopen(tmp_path, 3) as writer:
        writer.row({"update": 3})
    assert [row["update"] for row in lines(tmp_path / "metrics.jsonl")] == [0, 1, 2, 3]
    assert [row["update"] for row in lines(tmp_path / "samples.jsonl")] == [0, 0, 1, 1, 2, 2]
    assert [row["update"] for row in lines(tmp_path / "events.jsonl")] == [0, 1, 2]
    assert read_info(tmp_path).last_update == 2


def test_reopen_drops_a_line_that_was_never_finished_and_keeps_a_damaged_one_to_be_named(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, {}, [], info()):
        pass
    (tmp_path / "metrics.jsonl").write_text('{"update":0}\n{"upd\n{"update":1}\n{"update":2')
    RunWriter.reopen(tmp_path, 9).close()
    assert (tmp_path / "metrics.jsonl").read_text() == '{"update":0}\n{"upd\n{"update":1}\n'


def test_create_begins_anew_where_an_attempt_was(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, {}, [], info()) as writer:
        writer.row({"update": 0})
    with RunWriter.create(tmp_path, {}, [], info()) as writer:
        writer.row({"update": 0})
    assert lines(tmp_path / "metrics.jsonl") == [{"update": 0}]


def test_two_writers_of_one_directory_are_one_too_many(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, {}, [], info()) as writer:
        writer.row({"update": 0})
        with pytest.raises(DataError, match="one writer"):
            RunWriter.create(tmp_path, {}, [], info())
        with pytest.raises(DataError, match="one writer"):
            RunWriter.reopen(tmp_path, 1)
        assert lines(tmp_path / "metrics.jsonl") == [{"update": 0}]
    RunWriter.reopen(tmp_path, 1).close()


def test_a_file_that_was_removed_under_the_run_is_told_and_not_begun_anew(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(durable, "FIRST_PAUSE_S", 0.0)
    said: list[str] = []
    with RunWriter.create(tmp_path / "run", {}, [], info(), say=said.append) as writer:
        writer.row({"update": 0})
        (tmp_path / "run" / "metrics.jsonl").unlink()
        with pytest.raises(OutputFailed, match=r"metrics\.jsonl could not be written in 4 tries \(No such file"):
            writer.row({"update": 1})
        assert not (tmp_path / "run" / "metrics.jsonl").exists()
    assert len(said) == 3


def test_half_a_line_that_a_full_disk_left_is_taken_back(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(durable, "FIRST_PAUSE_S", 0.0)
    with RunWriter.create(tmp_path, {}, [], info()) as writer:
        writer.row({"update": 0})
        with open(tmp_path / "metrics.jsonl", "ab") as file:
            file.write(b'{"upda')
        writer.row({"update": 1})
    assert (tmp_path / "metrics.jsonl").read_text() == '{"update":0}\n{"update":1}\n'


def test_rewinding_leaves_the_rollbacks_that_the_state_counts(tmp_path: Path) -> None:
    one, two = ({"update": 9, "kind": "rollback", "number": number} for number in (1, 2))
    lasting = {"update": 8, "kind": "config_changed"}
    with RunWriter.create(tmp_path, {}, [], info()) as writer:
        for update in range(6):
            writer.row({"update": update})
        for event in ({"update": 5, "kind": "guard"}, lasting, one, two):
            writer.event(event)
        writer.rewind(3, [one])
        assert lines(tmp_path / "events.jsonl") == [lasting, one]
        writer.row({"update": 3})
        writer.rewind(3, [one, two])
    assert lines(tmp_path / "events.jsonl") == [lasting, one, two]
    assert [row["update"] for row in lines(tmp_path / "metrics.jsonl")] == [0, 1, 2]


def test_what_a_kill_left_beside_the_files_is_removed(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, {}, [], info()):
        pass
    (tmp_path / ".run.json.123").write_text("half")
    RunWriter.reopen(tmp_path, 0).close()
    assert not (tmp_path / ".run.json.123").exists()


def test_a_killed_writer_leaves_whole_lines_and_no_lock(tmp_path: Path) -> None:
    program = (
        "import os, sys, pathlib\n"
        "from safelab.runlog.schema import RunInfo\n"
        "from safelab.runlog.writer import RunWriter\n"
        "info = RunInfo(status='running', experiment='e', arm='a', seed=0, updates=9)\n"
        "writer = RunWriter.create(pathlib.Path(sys.argv[1]), {}, [], info)\n"
        "[writer.row({'update': update}) for update in range(4)]\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert done.returncode == -9
    assert [row["update"] for row in lines(tmp_path / "metrics.jsonl")] == [0, 1, 2, 3]
    assert read_info(tmp_path).status == "running"
    RunWriter.reopen(tmp_path, 4).close()


def test_a_directory_that_cannot_be_made_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"output_dir must be writable, got .*file/run \(Not a directory\)"):
        RunWriter.create(tmp_path / "file" / "run", {}, [], info())


@contextmanager
def without_roots_rights() -> Iterator[Path]:
    """A folder that nobody may write to; root, who may write everywhere, is somebody else for a while."""
    with TemporaryDirectory() as folder:
        locked = Path(folder) / "locked"
        locked.mkdir(mode=0o555)
        Path(folder).chmod(0o755)
        root = os.geteuid() == 0
        try:
            if root:
                os.seteuid(NOBODY)
            yield locked
        finally:
            if root:
                os.seteuid(0)


def test_a_directory_without_permission_is_one_message() -> None:
    with (
        without_roots_rights() as locked,
        pytest.raises(DataError, match=r"must be writable, got .*\(Permission denied"),
    ):
        RunWriter.create(locked / "run", {}, [], info())


def test_reopening_what_is_no_run_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must be a run directory with run\.json"):
        RunWriter.reopen(tmp_path, 1)
