"""What runs on a node, with a job that only pretends; a real SLURM is in ``tests/system/test_slurm.py``."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from safelab.app.config.jobs import Job
from safelab.app.sweep.sites import slurm_job
from safelab.app.sweep.sites.slurm_files import Place
from safelab.app.sweep.worker import JobEnd


@pytest.fixture(autouse=True)
def handlers_are_put_back() -> Iterator[None]:
    numbers = (signal.SIGUSR1, signal.SIGALRM, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def out_of_time(job: Job, log: Path, command: str) -> JobEnd:
    """It is told while it is built, and listens a little later."""
    signal.raise_signal(signal.SIGUSR1)
    heard: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    deadline = time.monotonic() + 5
    while not heard:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return JobEnd(failure="SIGTERM after update 4", final_reward=None, stopped=True)


@pytest.mark.parametrize(("reached", "refused"), [(4, None), (4, "no such job"), (-1, None)])
def test_a_job_whose_time_is_up_queues_again_if_it_got_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reached: int, refused: str | None
) -> None:
    asked, updates = [], [-1, reached]
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr(slurm_job, "AGAIN_S", 0.05)
    monkeypatch.setattr(slurm_job, "PATIENCE_S", 0.0)
    monkeypatch.setattr(slurm_job, "do", out_of_time)
    monkeypatch.setattr(slurm_job, "last_update", lambda directory: updates.pop(0))
    monkeypatch.setattr(slurm_job.slurm_commands, "requeue", lambda job: asked.append(job) or refused)
    place = Place(tmp_path / "0.json")
    place.describe(Job(config={"output_dir": "o", "experiment": "e", "arm": "a", "seed": 0}, overrides=()), "safelab")
    place.say(JobEnd(failure="of an attempt before", final_reward=None))
    slurm_job.main(str(tmp_path), "0")
    end = place.end()
    assert end is not None
    assert asked == (["7"] if reached == 4 else [])
    if reached == -1:
        assert not end.stopped
        assert "its time was up before an update was done: raise hydra.launcher.time" in str(end.failure)
    else:
        assert end.stopped
        assert ("it was not queued again: no such job" in str(end.failure)) == (refused is not None)
