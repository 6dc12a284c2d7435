"""Rollouts by vLLM, which has the trainer's weights before each: on the trainer's own GPU, or on GPUs of its own.

Weights that train in full are handed over in memory or by NCCL, a LoRA adapter as a folder. The engine's kernels round
otherwise than the trainer's, so its log-probabilities are another policy's. They are kept as those of the policy that
sampled (``Rollout.logp_rollout_tok``): an objective with ``anchor: rollout`` takes its ratio to them, which is the
importance correction, and for one with ``anchor: old`` there is ``correction``.
Never run on a GPU: its tests put a stand-in with vLLM's interface in the engine's place.
"""

import multiprocessing
import os
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from safelab.contracts import Context, Policy, Sampler
from safelab.errors import ConfigError
from safelab.parts.rollout._devices import engine_devices, faults_of
from safelab.parts.rollout._handover import handover_of
from safelab.parts.rollout._sampling import Sampling
from safelab.parts.rollout._vllm_engine import Engine, VllmEngine
from safelab.types import Greedy, PromptBatch, Rollout

FIRST_KNOWN, FIRST_UNKNOWN = (0, 29), (0, 33)
"""The versions whose interface was read; the extra in ``pyproject.toml`` asks for them."""


def _sound(devices: list[int]) -> list[int]:
    if said := faults_of(devices):
        raise ValueError(said)
    return devices


class Vllm(Sampling):
    """``memory_share``: of the GPU's memory, for the engine. ``sleep``: between rollouts it gives that back.

    ``devices``: its GPUs, by number, over which its model is split; None for the trainer's own. On GPUs of its own it
    never sleeps, as nobody else wants their memory. ``max_prompt_tokens``: longest prompt. ``sampling_temperature``:
    vLLM would raise one below 0.01 to that.
    """

    gives_logp: ClassVar[bool] = True  # its rollouts hold log-probabilities that are not quite the policy's

    sampling_temperature: Annotated[float, Field(ge=0.01)]
    devices: Annotated[list[int], AfterValidator(_sound)] | None
    memory_share: Annotated[float, Field(gt=0, lt=1)]
    max_prompt_tokens: Annotated[int, Field(ge=1)]
    sleep: bool

    def build(self, context: Context) -> Sampler:
        """Start the engine.

        Raises:
            ConfigError: vLLM is not installed or another version, cannot run here, or cannot load the policy.
        """
        count = check_usable(context)
        assert context.policy is not None
        devices, apart = engine_devices(self.devices, context.device, context.ranks, count), self.devices is not None
        engine = VllmEngine(
            handover_of(context.policy, len(devices) if apart else 0),
            devices=devices,
            apart=apart,
            device=context.device,
            dtype=str(next(context.policy.module.parameters()).dtype).removeprefix("torch."),
            ends=context.policy.ends,
            **self.model_dump(include={"sampling_temperature", "max_new_tokens", "max_prompt_tokens", "memory_share"}),
            sleeps=self.sleep and not apart,
        )
        return VllmSampler(
            batch_size=self.batch_size,
            samples_per_prompt=self.samples_per_prompt,
            staleness=self.staleness,
            dynamic_sampling=self.dynamic_sampling,
            engine=engine,
        )


def check_usable(context: Context) -> int:
    """See that vLLM is there and can start its process beside this one; how many GPUs it sees.

    Raises:
        ConfigError: it is not, or cannot.
    """
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")  # read at its import; its reports would bury the run's
    try:
        import vllm
        from vllm.platforms import current_platform
    except ImportError as error:
        raise ConfigError(
            f"rollout.name must be hf here, got vllm: vLLM does not load ({error}); pip install './safelab[vllm]'"
        ) from error
    version = tuple(int(part) for part in re.findall(r"\d+", vllm.__version__)[:2])
    if not FIRST_KNOWN <= version < FIRST_UNKNOWN:
        raise ConfigError(
            f"rollout=vllm must have vllm>=0.29,<0.33, whose interface it knows, got {vllm.__version__}: "
            "pip install './safelab[vllm]'"
        )
    if context.device.type != current_platform.device_type:
        raise ConfigError(
            f"device must be {current_platform.device_type} with rollout=vllm, which is installed for that, got "
            f"{context.device}: use rollout=hf"
        )
    if multiprocessing.current_process().daemon:
        raise ConfigError(
            "rollout must be hf in a process that may start none itself (a daemon of multiprocessing, as some "
            "launchers' workers are), got vllm: use hydra/launcher=local, or start each run by a command of its own"
        )
    return int(current_platform.device_count())


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmSampler(Sampler):
    """A sampler over an ``Engine``. ``handed``: its weights are those that are to write, whatever the policy's are."""

    batch_size: int
    samples_per_prompt: int
    staleness: int
    dynamic_sampling: int
    engine: Engine
    handed: bool = False

    def sample(self, policy: Policy, prompts: PromptBatch, seeds: Sequence[int]) -> Rollout:
        """One response for each row of ``prompts``, with the engine's log-probabilities."""
        ids, mask, logp_tok = self._written(prompts, seeds)
        return Rollout(
            prompts=prompts,
            ids=ids,
            mask=mask,
            ended_seq=policy.ended(ids, mask),
            responses=policy.decode(prompts, ids, mask),
            logp_rollout_tok=logp_tok,
        )

    def greedy(self, policy: Policy, prompts: PromptBatch) -> Greedy:
        """The likeliest response to each row of ``prompts``, token by token."""
        ids, mask, _ = self._written(prompts, None)
        return Greedy(responses=policy.decode(prompts, ids, mask), ended_seq=policy.ended(ids, mask))

    def within(self, policy: Policy) -> AbstractContextManager[None]:
        """What the engine is handed is whole."""
        return self.engine.gathered(policy)

    def beside(self, policy: Policy) -> "Sampler | None":
        """The engine with the weights of now; None where it shares the trainer's GPU, which then trains."""
        if not self.engine.apart:
            return None
        self.engine.hand_over()
        return replace(self, handed=True)

    def close(self) -> None:
        """End the engine."""
        self.engine.close()

    def _written(self, prompts: PromptBatch, seeds: Sequence[int] | None) -> tuple[Tensor, Tensor, Tensor]:
        rows = [row[keep].tolist() for row, keep in zip(prompts.ids.cpu(), prompts.mask.cpu(), strict=True)]
        if not self.handed:
            self.engine.hand_over()
        written = self.engine.write(rows, seeds)
        shape = len(rows), max(len(tokens) for tokens, _ in written)
        # What stands behind a row's end is masked and never read.
        ids, logp_tok = torch.zeros(shape, dtype=torch.long), torch.zeros(shape)
        mask = torch.zeros(shape, dtype=torch.bool)
        for index, (tokens, logp) in enumerate(written):
            ids[index, : len(tokens)] = torch.tensor(tokens)
            logp_tok[index, : len(tokens)] = torch.tensor(logp)
            mask[index, : len(tokens)] = True
        device = prompts.ids.device
        return ids.to(device), mask.to(device), logp_tok.to(device)
