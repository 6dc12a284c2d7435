"""Rollouts by ``transformers``' ``generate``: plain sampling, one pass, key-value cache."""

from typing import Annotated

from pydantic import Field

from safelab.contracts import Context, Policy
from safelab.options import Options as BaseOptions
from safelab.types import PromptBatch, Rollout


class Options(BaseOptions):
    """``batch_size``: responses per update. ``sampling_temperature``: the policy scores with it too."""

    name: str
    batch_size: Annotated[int, Field(ge=2)]
    max_new_tokens: Annotated[int, Field(ge=1)]
    sampling_temperature: Annotated[float, Field(gt=0)]


def build(options: Options, context: Context) -> "HfSampler":
    """The sampler; it holds no state."""
    return HfSampler(options)


class HfSampler:
    """``contracts.Sampler``."""

    def __init__(self, options: Options) -> None:
        self.batch_size = options.batch_size
        self._max_new_tokens = options.max_new_tokens

    def rollout(self, policy: Policy, prompts: PromptBatch) -> Rollout:
        """One response for each row of ``prompts``."""
        ids, mask = policy.generate(prompts, self._max_new_tokens)
        return Rollout(
            prompts=prompts, ids=ids, mask=mask, ended_seq=policy.ended(ids, mask), responses=policy.decode(ids, mask)
        )
