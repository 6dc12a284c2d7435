"""vLLM behind plain values: token numbers in, token numbers and log-probabilities out."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeVar

import torch

from safelab.contracts import Policy
from safelab.errors import EngineFailed
from safelab.foreign import calling
from safelab.parts.rollout._devices import seeing
from safelab.parts.rollout._handover import Handover
from safelab.parts.rollout._watch import Watch

T = TypeVar("T")


class Engine(Protocol):
    """What of vLLM is used. ``apart``: whether it runs on GPUs of its own, beside the trainer."""

    apart: bool

    def gathered(self, policy: Policy) -> AbstractContextManager[None]:
        """In it ``hand_over`` is called; where the policy is sharded, all ranks enter."""

    def hand_over(self) -> None:
        """Bring its weights up to those of this moment; afterwards the policy may be trained on."""

    def write(self, prompts: Sequence[list[int]], seeds: Sequence[int] | None) -> list[tuple[list[int], list[float]]]:
        """Tokens of each response, the end token included, and the log-probability of each.

        By the weights of the last ``hand_over``, which an engine that sleeps asks for again before it writes again.
        Without seeds the likeliest token is taken every time.
        """

    def close(self) -> None:
        """End its processes, also while they write."""


class VllmEngine:
    """``Engine`` by ``vllm.LLM``, which runs in processes of its own.

    Args:
        handover: how the trainer's weights reach it.
        devices: its GPUs, of those that this process sees; over several the model is split (tensor parallel).
        apart: whether these are its own.
        device: the trainer's.
        dtype: of the weights.
        ends: the tokens that end a response; no other does.
        sampling_temperature: of the distribution that is sampled and scored.
        max_new_tokens: longest response.
        max_prompt_tokens: longest prompt.
        memory_share: of the GPU's memory, for its weights and its cache.
        sleeps: whether it gives that memory back between rollouts.

    Raises:
        EngineFailed: it does not start.
    """

    def __init__(
        self,
        handover: Handover,
        *,
        devices: Sequence[int],
        apart: bool,
        device: torch.device,
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

        self.apart = apart
        self._handover, self._sleeps, self._temperature = handover, sleeps, sampling_temperature
        self._device, self._adapter = device, None
        self._common: dict[str, Any] = {
            "top_p": 1.0,
            "top_k": 0,
            "max_tokens": max_new_tokens,
            "logprobs": 0,
            "stop_token_ids": list(ends),
            "ignore_eos": True,  # or the checkpoint's list of end tokens would be added
            "detokenize": False,
        }
        # Asked for by name: where it finds itself in a Ray task, vLLM would ask Ray for GPUs.
        split = {"tensor_parallel_size": len(devices), "distributed_executor_backend": "mp"} if len(devices) > 1 else {}
        others = {process.pid for process in multiprocessing.active_children()}
        with seeing(devices), calling("vLLM, which could not start its engine,", EngineFailed):
            self._llm = LLM(
                **handover.settings,
                **split,
                skip_tokenizer_init=True,
                dtype=dtype,
                max_model_len=max_prompt_tokens + max_new_tokens,
                gpu_memory_utilization=memory_share,
                enable_sleep_mode=sleeps,
                # Of the distribution that is sampled: after the temperature, as the trainer scores.
                logprobs_mode="processed_logprobs",
                generation_config="vllm",  # not the checkpoint's own sampling defaults
            )
        self._watch = Watch([child for child in multiprocessing.active_children() if child.pid not in others])
        if sleeps:
            self._do("sleep", lambda: self._llm.sleep(level=handover.sleep_level))

    def gathered(self, policy: Policy) -> AbstractContextManager[None]:
        """What is handed over is whole."""
        return self._handover.gathered(policy)

    def hand_over(self) -> None:
        """Wake up, and have the present weights: these first, while there is still room beside them.

        Raises:
            EngineFailed: it could not, or would use again what older weights have computed of prompts.
        """
        if self._sleeps:
            if torch.cuda.is_available():
                torch.cuda.empty_cache()  # what the trainer's allocator keeps of freed memory, the engine could not get
            self._do("wake up for its weights", lambda: self._llm.wake_up(tags=["weights"]))
        self._adapter = self._do("take the policy's weights", lambda: self._handover.send(self._llm))
        if self._sleeps:
            self._do("wake up for its cache", lambda: self._llm.wake_up(tags=["kv_cache", "scheduling"]))
        if not self._do("forget older weights", lambda: self._llm.reset_prefix_cache()):
            raise EngineFailed("vLLM must forget what older weights have read of the prompts, and could not")

    def write(self, prompts: Sequence[list[int]], seeds: Sequence[int] | None) -> list[tuple[list[int], list[float]]]:
        """One request for each prompt.

        Raises:
            EngineFailed: it could not, or broke a response off.
        """
        written = self._do("write the responses", lambda: self._written(prompts, seeds))
        if self._sleeps:
            self._do("sleep", lambda: self._llm.sleep(level=self._handover.sleep_level))
        return written

    def close(self) -> None:
        """End its processes."""
        self._watch.close()

    def _do(self, what: str, call: Callable[[], T]) -> T:
        def on_the_trainers_gpu() -> T:
            # A thread begins on the first one, and what is sent to the engine goes out from the one that is current.
            with torch.cuda.device(self._device) if self._device.type == "cuda" else nullcontext():
                return call()

        return self._watch(what, on_the_trainers_gpu)

    def _written(
        self, prompts: Sequence[list[int]], seeds: Sequence[int] | None
    ) -> list[tuple[list[int], list[float]]]:
        from vllm import SamplingParams

        temperature = 0.0 if seeds is None else self._temperature
        outputs = self._llm.generate(
            [{"prompt_token_ids": tokens} for tokens in prompts],
            [
                SamplingParams(temperature=temperature, seed=seed, **self._common)
                for seed in seeds or [0] * len(prompts)
            ],
            lora_request=self._adapter,
            use_tqdm=False,
        )
        responses = [output.outputs[0] for output in outputs]
        if broken := {each.finish_reason for each in responses} - {"stop", "length"}:
            raise EngineFailed(
                f"vLLM must write every response to its end, and broke off ({', '.join(map(str, broken))})"
            )
        return [
            (
                list(each.token_ids),
                [at[token].logprob for token, at in zip(each.token_ids, each.logprobs, strict=True)],
            )
            for each in responses
        ]
