"""Rollouts by the policy itself: plain sampling, one pass, key-value cache."""

from safelab.contracts import Context, Decoding, Policy
from safelab.parts.rollout._sampling import SamplingOptions
from safelab.types import Greedy, PromptBatch, Rollout


class Options(SamplingOptions):
    """``decoding``: with a cache that grows, or one of fixed size, or that and a compiled step.

    On a GPU the compiled step is captured as a graph. It changes no response but by rounding.
    """

    decoding: Decoding


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
        self._decoding = options.decoding

    def rollout(self, policy: Policy, prompts: PromptBatch) -> Rollout:
        """One response for each row of ``prompts``."""
        ids, mask = policy.generate(prompts, self._max_new_tokens, decoding=self._decoding)
        return Rollout(
            prompts=prompts, ids=ids, mask=mask, ended_seq=policy.ended(ids, mask), responses=policy.decode(ids, mask)
        )

    def greedy(self, policy: Policy, prompts: PromptBatch) -> Greedy:
        """The likeliest response to each row of ``prompts``, token by token."""
        ids, mask = policy.generate(prompts, self._max_new_tokens, greedy=True, decoding=self._decoding)
        return Greedy(responses=policy.decode(ids, mask), ended_seq=policy.ended(ids, mask))
