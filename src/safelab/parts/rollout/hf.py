"""Rollouts by the policy itself: plain sampling, one pass, key-value cache."""

from collections.abc import Sequence

from safelab.contracts import Context, Decoding, Policy, Sampler
from safelab.errors import ConfigError
from safelab.parts.rollout._sampling import Sampling
from safelab.types import Greedy, PromptBatch, Rollout


class Hf(Sampling, Sampler):
    """``decoding``: with a cache that grows, or one of fixed size, whose step may be captured as a graph or compiled.

    A graph is recorded on a GPU, in a moment; compiling takes longer, and then the compiled step is recorded too. It
    changes no response but by rounding.
    """

    decoding: Decoding

    def build(self, context: Context) -> Sampler:
        """Itself.

        Raises:
            ConfigError: a graph is to be captured, and there is no GPU.
        """
        if self.decoding == "captured" and context.device.type != "cuda":
            raise ConfigError(
                f"rollout.decoding must be dynamic, static or compiled with device={context.device.type}, got "
                "captured: graphs are recorded on a CUDA GPU"
            )
        return self

    def sample(self, policy: Policy, prompts: PromptBatch, seeds: Sequence[int]) -> Rollout:
        """One response for each row of ``prompts``."""
        ids, mask = policy.generate(prompts, self.max_new_tokens, seeds=seeds, decoding=self.decoding)
        responses = policy.decode(prompts, ids, mask)
        return Rollout(prompts=prompts, ids=ids, mask=mask, ended_seq=policy.ended(ids, mask), responses=responses)

    def greedy(self, policy: Policy, prompts: PromptBatch) -> Greedy:
        """The likeliest response to each row of ``prompts``, token by token."""
        ids, mask = policy.generate(prompts, self.max_new_tokens, seeds=None, decoding=self.decoding)
        return Greedy(responses=policy.decode(prompts, ids, mask), ended_seq=policy.ended(ids, mask))
