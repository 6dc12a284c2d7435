"""Rollouts by vLLM on the trainer's own GPU: LoRA weights go over as a saved adapter before each rollout.

The engine's kernels round otherwise than the trainer's, so its log-probabilities are another policy's. They are kept
as those of the policy that sampled (``Rollout.logp_rollout_tok``); an objective with ``anchor: rollout`` takes its
ratio to them, which is the importance correction.
Never run on a GPU: its tests put a stand-in with vLLM's interface in the engine's place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Protocol

import torch
from pydantic import Field
from torch import Tensor

from safelab.contracts import Context, Policy, Sampler
from safelab.errors import ConfigError
from safelab.parts.rollout._sampling import Sampling
from safelab.pretrained.adapters import base_of
from safelab.pretrained.load import Source
from safelab.types import Greedy, PromptBatch, Rollout

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The bounds on an adapter's rank that vLLM has kernels for."""


class Vllm(Sampling):
    """``memory_share``: of the GPU's memory, for the engine's own weights and cache. ``max_prompt_tokens``: longest."""

    memory_share: Annotated[float, Field(gt=0, lt=1)]
    max_prompt_tokens: Annotated[int, Field(ge=1)]

    def build(self, context: Context) -> Sampler:
        """Start the engine on the policy's base model.

        Raises:
            ConfigError: vLLM is not installed, or the policy has no LoRA adapter.
        """
        try:
            import vllm  # noqa: F401  (whether it is there)
        except ImportError as error:
            raise ConfigError(
                f"rollout.name must be hf here, got vllm: vLLM does not load ({error}); pip install 'safelab[vllm]'"
            ) from error
        policy = context.policy
        adapters = getattr(getattr(policy, "module", None), "peft_config", None)
        if policy is None or adapters is None:
            raise ConfigError(
                "rollout=vllm must have a LoRA policy, whose adapter it loads anew; add policy/adapter=lora"
            )
        base = adapters["default"].base_model_name_or_path
        if base_of(Source("policy.path", base, "of whole weights", "give one")) is not None:
            raise ConfigError(
                f"policy.path must be whole weights with rollout=vllm, which loads them by itself, got {base!r}, an "
                "adapter: use rollout=hf, or merge it (merge_and_unload), save that, and give its directory"
            )
        return VllmSampler(
            batch_size=self.batch_size,
            samples_per_prompt=self.samples_per_prompt,
            staleness=self.staleness,
            engine=VllmEngine(self, adapters["default"], policy.ends),
        )


class Engine(Protocol):
    """What of vLLM is used, as plain values."""

    def write(
        self, prompts: Sequence[list[int]], seeds: Sequence[int] | None, adapter: Path
    ) -> list[tuple[list[int], list[float]]]:
        """Tokens of each response, the end token included, and the log-probability of each.

        Without seeds the likeliest token is taken every time.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmSampler(Sampler):
    """A sampler over an ``Engine``."""

    batch_size: int
    samples_per_prompt: int
    staleness: int
    engine: Engine

    def sample(self, policy: Policy, prompts: PromptBatch, seeds: Sequence[int]) -> Rollout:
        """One response for each row of ``prompts``, with the engine's log-probabilities."""
        ids, mask, logp_tok = self._written(policy, prompts, seeds)
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
        ids, mask, _ = self._written(policy, prompts, None)
        return Greedy(responses=policy.decode(prompts, ids, mask), ended_seq=policy.ended(ids, mask))

    def _written(
        self, policy: Policy, prompts: PromptBatch, seeds: Sequence[int] | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows = [row[keep].tolist() for row, keep in zip(prompts.ids.cpu(), prompts.mask.cpu(), strict=True)]
        with TemporaryDirectory(prefix="safelab-adapter-") as folder:
            policy.save(Path(folder))
            written = self.engine.write(rows, seeds, Path(folder))
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


class VllmEngine:
    """``Engine`` by ``vllm.LLM``.

    Args:
        options: of the rollout.
        adapter: the policy's ``peft.LoraConfig``, which names the base model.
        ends: the tokens that end a response.
    """

    def __init__(self, options: Vllm, adapter: Any, ends: Sequence[int]) -> None:
        from vllm import LLM

        self._options = options
        self._ends = list(ends)
        self._numbers = count(1)
        self._llm = LLM(
            model=adapter.base_model_name_or_path,
            enable_lora=True,
            max_loras=1,
            max_lora_rank=next(rank for rank in RANKS if rank >= adapter.r),
            max_model_len=options.max_prompt_tokens + options.max_new_tokens,
            gpu_memory_utilization=options.memory_share,
            # Of the distribution that is sampled: after the temperature, as the trainer scores.
            logprobs_mode="processed_logprobs",
            generation_config="vllm",  # not the checkpoint's own sampling defaults
        )

    def write(
        self, prompts: Sequence[list[int]], seeds: Sequence[int] | None, adapter: Path
    ) -> list[tuple[list[int], list[float]]]:
        """One request for each prompt, with the adapter that lies there."""
        from vllm import SamplingParams
        from vllm.lora.request import LoRARequest

        options, number = self._options, next(self._numbers)  # vLLM keeps an adapter under its number
        plain: dict[str, Any] = {"top_p": 1.0, "top_k": 0, "max_tokens": options.max_new_tokens, "logprobs": 0}
        plain["stop_token_ids"] = self._ends
        temperature = 0.0 if seeds is None else options.sampling_temperature
        outputs = self._llm.generate(
            [{"prompt_token_ids": tokens} for tokens in prompts],
            [SamplingParams(temperature=temperature, seed=seed, **plain) for seed in seeds or [0] * len(prompts)],
            lora_request=LoRARequest(f"rollout_{number}", number, str(adapter)),
            use_tqdm=False,
        )
        written = [output.outputs[0] for output in outputs]
        return [
            (
                list(each.token_ids),
                [at[token].logprob for token, at in zip(each.token_ids, each.logprobs, strict=True)],
            )
            for each in written
        ]
