import os
from pathlib import Path

import pytest

from safelab.app.config.jobs import Job
from safelab.app.sweep.lock import alone
from safelab.errors import DataError


def jobs(folder: Path) -> list[Job]:
    return [
        Job(config={"output_dir": str(folder), "experiment": "tried", "arm": "ppo", "seed": seed}, overrides=())
        for seed in (0, 1)
    ]


def test_a_second_sweep_of_the_experiment_is_refused(tmp_path: Path) -> None:
    with (
        alone(jobs(tmp_path)),
        pytest.raises(DataError, match=rf"process {os.getpid()} on .*; wait for that sweep"),
        alone(jobs(tmp_path)),
    ):
        pass
    with alone(jobs(tmp_path)):
        pass


def test_folders_that_stay_empty_are_removed(tmp_path: Path) -> None:
    with alone(jobs(tmp_path / "new" / "outputs")):
        assert (tmp_path / "new" / "outputs" / "tried").is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_stays(tmp_path: Path) -> None:
    with alone(jobs(tmp_path)):
        (tmp_path / "tried" / "ppo").mkdir()
    assert [path.name for path in (tmp_path / "tried").iterdir()] == ["ppo"]
