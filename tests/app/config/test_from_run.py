"""A run's directory serves from every folder: its paths, and the modules of its user."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from safelab.app.config.compose import compose, opened
from safelab.app.config.from_run import began_in, config_of, find_modules_in
from safelab.app.config.jobs import Job, check_directories, to_job
from safelab.runlog.schema import RunInfo
from safelab.runlog.writer import RunWriter
from support.models import model_directory

TOLD = "policy=local", "policy.path=org/sft", "data=text", "data.path=p.txt", "reward=released_heuristic", "arm=x"


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Job]:
    """A job that was composed in a folder with a model and prompts, and its run's directory."""
    home = tmp_path / "home"
    (home / "org").mkdir(parents=True)
    (home / "org" / "sft").symlink_to(model_directory())
    (home / "p.txt").write_text("a\n")
    monkeypatch.chdir(home)
    with opened() as hydra:
        yield to_job(compose(hydra, [*TOLD]))


def written(job: Job, config: dict, folder: str) -> Path:
    info = RunInfo(status="finished", experiment="default", arm="x", seed=0, updates=150, folder=folder)
    RunWriter.create(job.directory, config, [], info).close()
    return job.directory.absolute()


def as_older_versions_wrote(job: Job) -> dict:
    config = yaml.safe_load(yaml.safe_dump(dict(job.config)))
    config["policy"]["path"], config["data"]["path"] = "org/sft", "p.txt"
    return config


def test_a_runs_record_has_absolute_paths(job: Job, tmp_path: Path) -> None:
    assert job.config["policy"]["path"] == f"{tmp_path}/home/org/sft"
    assert job.config["data"]["path"] == f"{tmp_path}/home/p.txt"


@pytest.mark.parametrize("folder", ["", "recorded"])
def test_relative_paths_of_older_versions_begin_where_the_run_began(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    run = written(job, as_older_versions_wrote(job), str(tmp_path / "home") if folder else "")
    monkeypatch.chdir(tmp_path)
    config = config_of(run, trusted=False)
    assert config["policy"]["path"] == f"{tmp_path}/home/org/sft"
    assert config["data"]["path"] == f"{tmp_path}/home/p.txt"


def test_the_same_command_finds_the_run_of_an_older_version(job: Job) -> None:
    written(job, as_older_versions_wrote(job), "")
    assert check_directories([job]) == []
    other = {**job.config, "data": {**job.config["data"], "path": "/elsewhere/p.txt"}}
    (line,) = check_directories([Job(config=other, overrides=())])
    assert "data.path: 'p.txt' there, '/elsewhere/p.txt' now" in line


def test_a_run_with_an_absolute_output_dir_does_not_say_where_it_began(tmp_path: Path) -> None:
    config = {"output_dir": str(tmp_path), "experiment": "e", "arm": "a", "seed": 0}
    assert began_in(tmp_path / "e" / "a" / "seed_0", config) is None
    assert began_in(tmp_path / "out" / "e" / "a" / "seed_0", {**config, "output_dir": "out"}) == tmp_path
    assert began_in(tmp_path / "moved", {**config, "output_dir": "out"}) is None


def test_modules_of_the_runs_folder_come_before_those_of_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["/a", str(tmp_path)])
    find_modules_in(tmp_path / "home")
    find_modules_in(tmp_path / "home")
    assert sys.path == ["/a", f"{tmp_path}/home", str(tmp_path)]
