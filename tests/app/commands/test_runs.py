"""``safelab runs`` and ``safelab watch`` as commands."""

import json
from pathlib import Path

import pytest

from safelab.app.cli import main
from safelab.runlog.schema import RunInfo
from safelab.runlog.writer import RunWriter


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    info = RunInfo(status="finished", experiment="e", arm="ppo", seed=0, updates=1)
    with RunWriter.create(tmp_path / "runs" / "ppo" / "seed_0", {}, [], info) as writer:
        writer.row({"update": 0, "reward/mean": 0.5})
    return tmp_path / "runs"


def test_runs_lists(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "finished" in shown
    assert shown.splitlines()[-1] == "1 run: 1 finished"


def test_json_is_one_object_a_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reward"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runs", "nowhere"], "nowhere must be an existing directory"),
        (["runs", "--jsn"], "safelab runs: unrecognized arguments: --jsn"),
        (["watch", "--interval", "fast"], "must be between 0.1 and 3600, got 'fast'"),
    ],
)
def test_mistakes_are_one_message(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_watch_without_a_terminal_says_what_to_use(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", str(folder)]) == 2
    assert "safelab runs prints the list once" in capsys.readouterr().err


def test_watch_stays_as_long_as_a_sweep_has_jobs_to_come(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    held, waits = [True, True, False], []
    monkeypatch.setattr("safelab.runlog.lock.is_held", lambda directory: held.pop(0))
    monkeypatch.setattr("time.sleep", waits.append)
    assert main(["watch", str(folder)]) == 0
    assert waits == [2.0, 2.0]
    assert held == []
