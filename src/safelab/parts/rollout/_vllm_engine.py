"""vLLM behind plain values: token numbers in, token numbers and log-probabilities out."""

import os
from collections.abc import Sequence
from typing import Any, Protocol

import torch

from safelab.errors import RunFailed
from safelab.parts.rollout._handover import Handover


class Engine(Protocol):
    """What of vLLM is used."""

    def write(self, prompts: Sequence[list[int]], seeds: Sequence[int] | None) -> list[tuple[list[int], list[float]]]:
        """Tokens of each response, the end token included, and the log-probability of each, by the present weights.

        Without seeds the likeliest token is taken every time.
        """


class VllmEngine:
    """``Engine`` by ``vllm.LLM``, which runs in a process of its own on the trainer's GPU.

    Args:
        handover: how the trainer's weights reach it.
        dtype: of the weights.
        ends: the tokens that end a response; no other does.
        sampling_temperature: of the distribution that is sampled and scored.
        max_new_tokens: longest response.
        max_prompt_tokens: longest prompt.
        memory_share: of the GPU's memory, for its weights and its cache.
        sleeps: whether it gives that memory back between rollouts.
    """

    def __init__(
        self,
        handover: Handover,
        *,
        dtype: str,
        ends: Sequence[int],
        sampling_temperature: float,
        max_new_tokens: int,
        max_prompt_tokens: int,
        memory_share: float,
        sleeps: bool,
    ) -> None:
        os.environ.update(handover.environment)
        from vllm import LLM

        self._handover, self._sleeps, self._temperature = handover, sleeps, sampling_temperature
        self._common: dict[str, Any] = {
            "top_p": 1.0,
            "top_k": 0,
            "max_tokens": max_new_tokens,
            "logprobs": 0,
            "stop_token_ids": list(ends),
            "ignore_eos": True,  # or the checkpoint's list of end tokens would be added
            "detokenize": False,
        }
        self._llm = LLM(
            **handover.settings,
            skip_tokenizer_init=True,
            dtype=dtype,
            max_model_len=max_prompt_tokens + max_new_tokens,
            gpu_memory_utilization=memory_share,
            enable_sleep_mode=sleeps,
            # Of the distribution that is sampled: after the temperature, as the trainer scores.
            logprobs_mode="processed_logprobs",
            generation_config="vllm",  # not the checkpoint's own sampling defaults
        )
        if sleeps:
            self._llm.sleep(level=handover.sleep_level)

    def write(self, prompts: Sequence[list[int]], seeds: Sequence[int] | None) -> list[tuple[list[int], list[float]]]:
        """One request for each prompt.

        Raises:
            RunFailed: what older weights have computed of prompts would be used again.
        """
        self._refresh()
        if not self._llm.reset_prefix_cache():
            raise RunFailed("vLLM must forget what older weights have read of the prompts, and could not")
        written = self._written(prompts, seeds)
        if self._sleeps:
            self._llm.sleep(level=self._handover.sleep_level)
        return written

    def _refresh(self) -> None:
        """Wake up, and have the present weights: these first, while there is still room beside them."""
        if self._sleeps:
            if torch.cuda.is_available():
                torch.cuda.empty_cache()  # what the trainer's allocator keeps of freed memory, the engine could not get
            self._llm.wake_up(tags=["weights"])
        self._handover.send(self._llm)
        if self._sleeps:
            self._llm.wake_up(tags=["kv_cache", "scheduling"])

    def _written(
        self, prompts: Sequence[list[int]], seeds: Sequence[int] | None
    ) -> list[tuple[list[int], list[float]]]:
        from vllm import SamplingParams

        temperature = 0.0 if seeds is None else self._temperature
        with self._handover.request() as adapter:
            outputs = self._llm.generate(
                [{"prompt_token_ids": tokens} for tokens in prompts],
                [
                    SamplingParams(temperature=temperature, seed=seed, **self._common)
                    for seed in seeds or [0] * len(prompts)
                ],
                lora_request=adapter,
                use_tqdm=False,
            )
        responses = [output.outputs[0] for output in outputs]
        return [
            (
                list(each.token_ids),
                [at[token].logprob for token, at in zip(each.token_ids, each.logprobs, strict=True)],
            )
            for each in responses
        ]
