"""An instrument for studies, and no method: an engine whose probabilities differ from the policy's by known noise.

    q_t = softmax(log p_t + sd z_t),   z_t standard normal, new for each token of the vocabulary at each place t

The tokens are sampled from q, and what is returned are the log-probabilities of q: to the trainer it looks like an
engine whose kernels round otherwise (``rollout=vllm``), by as much as is asked for, and without bias. The noise of a
response comes from its row's seed, so from the run's seed, the update and the row: rows have noise of their own, and no
row's depends on the others. So have the tokens, by the numbers that ``rollout=hf`` draws them with: at sd = 0 it writes
the same responses. What a run logs of its responses, rewards among it, is of q; an evaluation writes without noise.
Cost: no cache of keys and values, so each token reads its response anew; meant for small models. These passes count in
``speed/useful_share``.
"""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from jaxtyping import Bool, Float, Float64, Int
from pydantic import Field
from torch import Tensor

from safelab.contracts import Policy, Sampler
from safelab.maths.drawing import drawn, uniforms
from safelab.maths.seeds import generator
from safelab.maths.wide import device_of_float64, wide
from safelab.parts.rollout._sampling import Sampling
from safelab.types import Greedy, PromptBatch, Rollout


class Noisy(Sampling, Sampler):
    """``noise_std``: sd, in nats of each vocabulary entry's log-probability at the sampling temperature."""

    gives_logp: ClassVar[bool] = True  # as an engine does

    noise_std: Annotated[float, Field(ge=0)]

    @property
    def apart(self) -> float:
        """``sd + sd^2 / 2``, a bound on the mean of |log q - log p| = |sd z - log E_p[exp(sd z)]| under q.

        It is met where many tokens are alike: there sd z has mean sd^2 under q, and the logarithm is sd^2 / 2.
        """
        return self.noise_std + self.noise_std**2 / 2

    def sample(self, policy: Policy, prompts: PromptBatch, seeds: Sequence[int]) -> Rollout:
        """One response for each row of ``prompts``, with the noisy log-probabilities of its tokens."""
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
        """The policy's likeliest response to each row of ``prompts``, token by token, without noise."""
        ids, mask = policy.generate(prompts, self.max_new_tokens, seeds=None)
        return Greedy(responses=policy.decode(prompts, ids, mask), ended_seq=policy.ended(ids, mask))

    def unperturbed(self) -> Sampler:
        """The same without noise."""
        return self.model_copy(update={"noise_std": 0.0})

    @torch.no_grad()
    def _written(
        self, policy: Policy, prompts: PromptBatch, seeds: Sequence[int]
    ) -> tuple[Int[Tensor, "b t"], Bool[Tensor, "b t"], Float[Tensor, "b t"]]:
        shape, device = (len(seeds), self.max_new_tokens), prompts.ids.device
        ids, mask = torch.full(shape, policy.pad, device=device), torch.zeros(shape, dtype=torch.bool, device=device)
        logp_tok = torch.zeros(shape, device=device)
        numbers = uniforms(seeds, self.max_new_tokens).to(device_of_float64(device))
        noises = [generator(seed, "noise") for seed in seeds]
        ends, live = torch.tensor(policy.ends, device=device), torch.ones(len(seeds), dtype=torch.bool, device=device)
        for place in range(self.max_new_tokens):
            # A column more than was written: its hidden state would tell of the token behind it, the one before of it.
            now = slice(0, place + 1)
            hidden = policy.model.hidden(prompts.ids, prompts.mask, ids[:, now], mask[:, now])[:, place]
            logq = self._perturbed(policy.model.log_probs(hidden), noises)
            tokens = drawn(logq, logq.amax(dim=-1), 1.0, numbers[:, place]).to(device)
            chosen = logq.gather(1, tokens.to(logq.device).unsqueeze(1)).squeeze(1)
            ids[live, place], mask[live, place] = tokens[live], True
            logp_tok[live, place] = chosen.to(logp_tok)[live]
            live = live & ~torch.isin(tokens, ends)
            if not live.any():
                break
        return ids[:, now], mask[:, now], logp_tok[:, now]

    def _perturbed(
        self, logp: Float[Tensor, "b vocab"], noises: Sequence[torch.Generator]
    ) -> Float64[Tensor, "b vocab"]:
        """Log q, in float64."""
        exact = wide(logp)
        noise = torch.stack([torch.randn(logp.shape[1], generator=generator) for generator in noises]).to(exact)
        return torch.log_softmax(exact + self.noise_std * noise, dim=-1)
