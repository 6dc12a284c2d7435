"""Rollouts by ``transformers``' ``generate``: plain sampling, one pass, key-value cache."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from safelab.contracts import Context, Policy
from safelab.options import Options as BaseOptions
from safelab.types import Greedy, PromptBatch, Rollout


class Options(BaseOptions):
    """``batch_size``: responses per update. ``sampling_temperature``: the policy scores with it too.

    ``samples_per_prompt``: responses to each prompt. ``staleness``: updates by which the writing policy lags.
    """

    name: str
    batch_size: Annotated[int, Field(ge=2)]
    samples_per_prompt: Annotated[int, Field(ge=1)]
    staleness: Annotated[int, Field(ge=0)]
    max_new_tokens: Annotated[int, Field(ge=1)]
    sampling_temperature: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        if self.batch_size % self.samples_per_prompt:
            raise ValueError(
                "must have a batch_size that is a multiple of samples_per_prompt, "
                f"got {self.batch_size} and {self.samples_per_prompt}"
            )
        return self


def build(options: Options, context: Context) -> "HfSampler":
    """The sampler; it holds no state."""
    return HfSampler(options)


class HfSampler:
    """``contracts.Sampler``."""

    def __init__(self, options: Options) -> None:
        self.batch_size = options.batch_size
        self.samples_per_prompt = options.samples_per_prompt
        self.staleness = options.staleness
        self._max_new_tokens = options.max_new_tokens

    def rollout(self, policy: Policy, prompts: PromptBatch) -> Rollout:
        """One response for each row of ``prompts``."""
        ids, mask = policy.generate(prompts, self._max_new_tokens)
        return Rollout(
            prompts=prompts, ids=ids, mask=mask, ended_seq=policy.ended(ids, mask), responses=policy.decode(ids, mask)
        )

    def greedy(self, policy: Policy, prompts: PromptBatch) -> Greedy:
        """The likeliest response to each row of ``prompts``, token by token."""
        ids, mask = policy.generate(prompts, self._max_new_tokens, greedy=True)
        return Greedy(responses=policy.decode(ids, mask), ended_seq=policy.ended(ids, mask))
