"""The calls that trackio gets, against a stand-in with the signatures of trackio 0.43 (the package brings a server)."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from safelab.errors import ConfigError
from safelab.parts.tracker.trackio import Trackio
from safelab.plugins import faults

RUN = {"experiment": "demo", "arm": "safe", "seed": 1, "started": "now", "git_commit": "c0ffee"}


class Standin:
    """As much of trackio as is called: projects hold runs, runs hold points, and adding a point never replaces one."""

    def __init__(self) -> None:
        self.kept: list[SimpleNamespace] = []

    def Api(self) -> SimpleNamespace:
        return SimpleNamespace(runs=self.runs)

    def runs(self, project: str) -> list[SimpleNamespace]:
        if found := [run for run in self.kept if run.project == project]:
            return found
        raise ValueError(f"Project '{project}' does not exist")

    def init(self, project, name=None, group=None, config=None, resume="never", *, embed=True):
        assert resume == "never"
        print("* Trackio project initialized")
        run = SimpleNamespace(project=project, name=name, group=group, config=config, points=[])
        run.log = lambda metrics, step=None: run.points.append((step, metrics))
        run.delete = lambda: self.kept.remove(run)
        self.kept.append(run)
        return run

    def finish(self) -> None:
        print("* Run finished")

    def Table(self, columns=None, data=None):
        return columns, data


@pytest.fixture
def trackio(monkeypatch: pytest.MonkeyPatch) -> Standin:
    standin = Standin()
    monkeypatch.setitem(sys.modules, "trackio", standin)
    return standin


def option() -> Trackio:
    return Trackio(name="trackio", project="p", tags=["pilot"], notes="a first look")


def test_rows_samples_and_what_the_run_was_told(trackio: Standin, tmp_path: Path, capsys) -> None:
    mirror = option().build(None).start(tmp_path, {"seed": 1}, RUN)
    mirror.log({"update": 3, "reward/mean": 0.5, "phase": "warmup", "gold": None})
    mirror.samples(3, [{"update": 3, "prompt": "Hello", "reward": 1.5}])
    mirror.finish("finished")
    (run,) = trackio.kept
    assert run.points == [(3, {"reward/mean": 0.5}), (3, {"samples": (["prompt", "reward"], [["Hello", 1.5]])})]
    assert run.group == "safe"
    assert run.name.startswith("demo safe seed 1 ")
    assert run.config == {
        "seed": 1, "run": {"git_commit": "c0ffee"}, "tags": ["pilot"], "notes": "a first look"
    }  # fmt: skip
    assert capsys.readouterr().out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_goes_on_takes_the_place_of_what_was_shown(trackio: Standin, tmp_path: Path) -> None:
    for value in (1.0, 2.0):
        mirror = option().start(tmp_path, {}, RUN)
        mirror.log({"update": 0, "reward/mean": value})
    option().start(tmp_path, {}, {**RUN, "started": "later"})
    assert [run.points for run in trackio.kept] == [[(0, {"reward/mean": 2.0})], []]


def test_without_the_package_the_line_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trackio", None)  # what Python takes for a module that is not there
    with pytest.raises(ConfigError, match=r"pip install '\./safelab\[trackio\]'"):
        option().build(None)


def test_a_project_that_is_no_name_is_refused_before_the_run() -> None:
    (line,) = faults("tracker", {"name": "trackio", "project": "a/b", "tags": [], "notes": None})
    assert line.startswith("tracker.project ")
