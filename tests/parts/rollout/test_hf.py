import pytest
import torch

from safelab.errors import ConfigError
from support.models import tiny_policy
from support.objectives import component


def test_one_response_for_each_prompt() -> None:
    policy = tiny_policy()
    sampler = component("rollout", "hf", batch_size=2, max_new_tokens=5)
    assert (sampler.batch_size, sampler.samples_per_prompt, sampler.staleness) == (2, 1, 0)
    prompts = policy.encode(["a b", "c"], [4, 5])
    rollout = sampler.sample(policy, prompts, [0, 1])
    assert rollout.prompts is prompts
    assert len(rollout.responses) == 2
    assert rollout.length_seq.max() <= 5
    assert rollout.ended_seq.tolist() == ((rollout.ids == 1) & rollout.mask).any(dim=1).tolist()
    assert rollout.logp_rollout_tok is None


def test_the_greedy_response_is_the_likeliest_token_every_time() -> None:
    policy = tiny_policy()
    greedy = component("rollout", "hf", max_new_tokens=4).greedy(policy, policy.encode(["a b"], [0]))
    ids = policy.encode(["a b"], [0]).ids
    with torch.no_grad():
        for _ in range(4):
            ids = torch.cat([ids, policy.module(ids).logits[:, -1:].argmax(dim=-1)], dim=1)
    written = ids[:, 2:]
    mask = (written == 1).long().cumsum(dim=1) - (written == 1).long() == 0
    assert greedy.responses == policy.decode(written, mask)
    assert greedy.ended_seq.tolist() == policy.ended(written, mask).tolist()


def test_groups_must_be_whole() -> None:
    with pytest.raises(ConfigError, match="a multiple of samples_per_prompt, got 32 and 5"):
        component("rollout", "hf", samples_per_prompt=5)
