"""On which GPUs an engine runs, and how its processes come to see these and no others."""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from safelab.errors import ConfigError
from safelab.ranks import Ranks

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The variable that a process reads once, when it first asks for a GPU; numbers count within it."""


def faults_of(devices: Sequence[int]) -> str | None:
    """What is wrong with a list of GPUs by itself; None if nothing."""
    if not devices:
        return "must name a GPU, got []: give numbers as rollout.devices=[1], or null for the trainer's own GPU"
    if any(device < 0 for device in devices) or len(set(devices)) < len(devices):
        return f"must be different numbers from 0 on, got {list(devices)}: name each GPU once"
    return None


def check_apart(devices: Sequence[int], trainers: Sequence[int], count: int) -> None:
    """See that an engine's own GPUs are there, and not the trainer's.

    Args:
        devices: of the engine.
        trainers: where the policy is trained.
        count: GPUs that this process sees.

    Raises:
        ConfigError: they are not.
    """
    absent = [device for device in devices if device >= count]
    if absent:
        raise ConfigError(
            f"rollout.devices must be GPUs that are here, got {list(devices)}: {count} are visible, numbers 0 to "
            f"{count - 1} (CUDA_VISIBLE_DEVICES says which); null runs the engine on the trainer's own"
        )
    if shared := sorted(set(devices) & set(trainers)):
        raise ConfigError(
            f"rollout.devices must not hold the trainer's own GPU, got {list(devices)} with the trainer on "
            f"{', '.join(map(str, shared))}: name others, or null to share that GPU (the engine then sleeps in between)"
        )


def engine_devices(asked: Sequence[int] | None, device: torch.device, ranks: Ranks, count: int) -> tuple[int, ...]:
    """The GPUs of this process's engine.

    Args:
        asked: ``rollout.devices``; None is the trainer's own GPU.
        device: of the trainer.
        ranks: the processes of the run. Those of this machine have a GPU each, from the first on, and share the
            engine's.
        count: GPUs that this process sees.

    Raises:
        ConfigError: they cannot be had.
    """
    own = device.index or 0
    if asked is None:
        return (own,)
    here = int(os.environ.get("LOCAL_WORLD_SIZE", ranks.size))
    check_apart(asked, range(here) if ranks.size > 1 else (own,), count)
    return share_of(asked, ranks.local, here)


def share_of(devices: Sequence[int], rank: int, size: int) -> tuple[int, ...]:
    """The GPUs of one rank's engine: equal shares, in order.

    Raises:
        ConfigError: they cannot be shared equally.
    """
    if len(devices) % size:
        raise ConfigError(
            f"rollout.devices must be as many GPUs for each rank, got {list(devices)} for {size} ranks: each rank has "
            f"an engine of its own; name a multiple of {size}"
        )
    count = len(devices) // size
    return tuple(devices[rank * count : (rank + 1) * count])


@contextmanager
def seeing(devices: Sequence[int]) -> Iterator[None]:
    """Processes that are started within see these GPUs, of those that this one sees, and Ctrl-C does not reach them.

    A terminal sends Ctrl-C to every process that runs in it. This one then ends its update and saves it, for which the
    engine must still be there; it ends with this one. A process that is started has the mask of signals of whoever
    starts it, and vLLM's keep it.
    """
    before = os.environ.get(VISIBLE)
    names = before.split(",") if before else [str(number) for number in range(max(devices, default=0) + 1)]
    os.environ[VISIBLE] = ",".join(names[device].strip() for device in devices)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if before is None:
            del os.environ[VISIBLE]
        else:
            os.environ[VISIBLE] = before
