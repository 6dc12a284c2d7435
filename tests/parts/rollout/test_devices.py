"""Which GPUs an engine gets, and what the processes that it starts see."""

import os
import signal

import pytest
import torch

from safelab.errors import ConfigError
from safelab.parts.rollout._devices import VISIBLE, engine_devices, seeing, share_of
from safelab.ranks import Ranks
from support.models import context, tiny_policy
from support.objectives import component
from support.vllm_stand_in import LLM

CUDA = torch.device("cuda", 1)


@pytest.mark.parametrize(("devices", "said"), [
    ([], r"rollout\.devices must name a GPU, got \[\]"),
    ([1, 1], r"rollout\.devices must be different numbers from 0 on, got \[1, 1\]"),
    ([-1], r"rollout\.devices must be different numbers from 0 on, got \[-1\]"),
    (["a"], r"rollout\.devices.*"),
])  # fmt: skip
def test_a_list_that_is_none_is_refused_before_anything_is_built(devices: list[int], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        component("rollout", "vllm", devices=devices)


@pytest.mark.parametrize(("asked", "device", "ranks", "expected"), [
    (None, CUDA, Ranks(), (1,)),
    (None, torch.device("cuda"), Ranks(), (0,)),
    ([0], CUDA, Ranks(), (0,)),
    ([3, 2], CUDA, Ranks(), (3, 2)),
    ([2, 3], torch.device("cuda", 1), Ranks(rank=1, size=2, local=1), (3,)),
    (None, torch.device("cuda", 1), Ranks(rank=1, size=2, local=1), (1,)),
])  # fmt: skip
def test_an_engine_shares_its_trainers_gpu_or_has_its_share_of_others(
    asked: list[int] | None, device: torch.device, ranks: Ranks, expected: tuple[int, ...]
) -> None:
    assert engine_devices(asked, device, ranks, 4) == expected


@pytest.mark.parametrize(("asked", "ranks", "said"), [
    ([1], Ranks(), r"must not hold the trainer's own GPU, got \[1\] with the trainer on 1: name others"),
    ([2, 4], Ranks(), r"must be GPUs that are here, got \[2, 4\]: 4 are visible, numbers 0 to 3"),
    ([0, 2], Ranks(rank=1, size=2, local=1), r"must not hold the trainer's own GPU, got \[0, 2\] .* on 0"),
    ([2], Ranks(rank=0, size=2), r"must be as many GPUs for each rank, got \[2\] for 2 ranks: .* a multiple of 2"),
])  # fmt: skip
def test_gpus_that_cannot_be_had_are_refused(asked: list[int], ranks: Ranks, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"rollout\.devices {said}"):
        engine_devices(asked, CUDA, ranks, 4)


def test_ranks_elsewhere_do_not_share_this_machines_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four ranks on two machines, as ``torchrun`` tells it."""
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    found = [engine_devices([2, 3], CUDA, Ranks(rank=rank, size=4, local=rank % 2), 4) for rank in range(4)]
    assert found == [(2,), (3,), (2,), (3,)]


def test_equal_shares_are_in_order() -> None:
    assert [share_of([7, 5, 3, 1], rank, 2) for rank in (0, 1)] == [(7, 5), (3, 1)]


@pytest.mark.parametrize(("before", "inside"), [
    (None, "3,1"),
    ("4,5,6,7", "7,5"),
    ("GPU-a, GPU-b ,GPU-c,GPU-d", "GPU-d,GPU-b"),
])  # fmt: skip
def test_what_is_started_sees_these_gpus_alone_and_no_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, before: str | None, inside: str
) -> None:
    if before is None:
        monkeypatch.delenv(VISIBLE, raising=False)
    else:
        monkeypatch.setenv(VISIBLE, before)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with seeing([3, 1]):
        assert os.environ[VISIBLE] == inside
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert os.environ.get(VISIBLE) == before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask


@pytest.mark.parametrize(("devices", "visible", "split"), [(None, "0", 1), ([2], "2", 1), ([3, 1], "3,1", 2)])
@pytest.mark.parametrize("lora", [False, True])
def test_the_engine_starts_on_its_gpus(
    stand_in: list[LLM], devices: list[int] | None, visible: str, split: int, lora: bool
) -> None:
    adapter = {"name": "lora", "rank": 4, "alpha": 8.0, "targets": None} if lora else {}
    policy = tiny_policy(**adapter)
    sampler = component("rollout", "vllm", context(policy), batch_size=2, max_new_tokens=4, devices=devices)
    (llm,) = stand_in
    assert llm.environment[VISIBLE] == visible
    assert llm.deaf_to_ctrl_c
    assert (llm.settings["tensor_parallel_size"], llm.settings["enable_sleep_mode"]) == (split, devices is None)
    backend = None if lora else {"backend": "ipc" if devices is None else "nccl"}
    assert llm.settings["weight_transfer_config"] == backend
    insecure = not lora and devices is None
    assert llm.environment["VLLM_ALLOW_INSECURE_SERIALIZATION"] == ("1" if insecure else "0")
    sampler.sample(policy, policy.encode(["a b", "c"], [0, 1]), [1, 2])
    assert (llm.group is None) == (lora or devices is None)
