import signal

import pytest
import torch

from safelab.app.config.jobs import Job
from safelab.app.sweep.sites import local
from safelab.errors import ConfigError


def job(device: str = "cpu", threads: int = 1, ranks: int = 1, engine: list[int] | None = None) -> Job:
    rollout = {"name": "hf"} if engine is None else {"name": "vllm", "devices": engine}
    return Job(config={"device": device, "threads": threads, "ranks": ranks, "rollout": rollout}, overrides=())


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    def make(cores: int, gpus: int = 0, visible: str | None = None) -> None:
        monkeypatch.setattr(local, "cores", lambda: cores)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        if visible is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    return make


@pytest.mark.parametrize(("cores", "threads", "places"), [(2, 1, 2), (8, 1, 8), (8, 3, 2), (2, 4, 1)])
def test_as_many_jobs_as_their_threads_fit_into_the_cores(machine, cores: int, threads: int, places: int) -> None:
    machine(cores)
    assert local.slots_for([job(threads=threads)], None) == [None] * places


def test_one_job_per_gpu(machine) -> None:
    machine(64, gpus=3)
    assert local.slots_for([job("auto")], None) == ["0", "1", "2"]
    assert local.slots_for([job("cuda")], None) == ["0", "1", "2"]


def test_a_job_of_several_processes_has_a_gpu_for_each(machine) -> None:
    machine(64, gpus=5)
    assert local.slots_for([job("auto", ranks=2)], None) == ["0,1", "2,3"]
    assert local.slots_for([job("auto", engine=[1])], None) == ["0,1", "2,3"]
    assert local.slots_for([job("auto", ranks=2, engine=[2, 3])], None) == ["0,1,2,3"]
    with pytest.raises(ConfigError, match="a job must need no more than the 5 GPUs of this machine, got one of 6"):
        local.slots_for([job("auto", ranks=6)], None)
    assert local.slots_for([job("auto", ranks=2)], 3) == ["0,1", "2,3", "0,1"]


def test_the_threads_of_all_processes_of_a_job_take_a_core_each(machine) -> None:
    machine(8)
    assert local.slots_for([job(threads=2, ranks=2)], None) == [None] * 2


def test_gpus_that_are_hidden_stay_hidden(machine) -> None:
    machine(64, gpus=2, visible="5,7")
    assert local.slots_for([job("auto")], None) == ["5", "7"]


def test_jobs_on_the_cpu_take_no_gpu(machine) -> None:
    machine(4, gpus=2)
    assert local.slots_for([job("cpu")], None) == [None] * 4


def test_a_gpu_by_name_takes_one_job_at_a_time(machine) -> None:
    machine(4, gpus=2)
    assert local.slots_for([job("cuda:1")], None) == [None]


@pytest.mark.parametrize(("gpus", "places"), [(0, [None] * 3), (2, ["0", "1", "0"])])
def test_workers_are_as_many_as_asked_for(machine, gpus: int, places: list) -> None:
    machine(8, gpus=gpus)
    assert local.slots_for([job("auto")], 3) == places


def test_a_death_without_a_word_is_explained() -> None:
    assert "SIGKILL, out of memory perhaps" in local.cause_of_death(-signal.SIGKILL, ["last line"])
    assert "SIGSEGV" in local.cause_of_death(-signal.SIGSEGV, [])
    assert local.cause_of_death(1, ["Traceback", "ValueError: no"]) == "ValueError: no"
    assert local.cause_of_death(1, []) == "its process ended with code 1 and said nothing"
