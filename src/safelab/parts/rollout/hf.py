"""Rollouts by the policy itself: plain sampling, one pass, key-value cache."""

from collections.abc import Sequence

from safelab.contracts import Decoding, Policy, Sampler
from safelab.parts.rollout._sampling import Sampling
from safelab.types import Greedy, PromptBatch, Rollout


class Hf(Sampling, Sampler):
    """``decoding``: with a cache that grows, or one of fixed size, or that and a compiled step.

    On a GPU the compiled step is captured as a graph. It changes no response but by rounding.
    """

    decoding: Decoding

    def sample(self, policy: Policy, prompts: PromptBatch, seeds: Sequence[int]) -> Rollout:
        """One response for each row of ``prompts``."""
        ids, mask = policy.generate(prompts, self.max_new_tokens, seeds=seeds, decoding=self.decoding)
        return Rollout(
            prompts=prompts, ids=ids, mask=mask, ended_seq=policy.ended(ids, mask), responses=policy.decode(ids, mask)
        )

    def greedy(self, policy: Policy, prompts: PromptBatch) -> Greedy:
        """The likeliest response to each row of ``prompts``, token by token."""
        ids, mask = policy.generate(prompts, self.max_new_tokens, seeds=None, decoding=self.decoding)
        return Greedy(responses=policy.decode(ids, mask), ended_seq=policy.ended(ids, mask))
