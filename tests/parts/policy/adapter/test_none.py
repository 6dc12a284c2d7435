"""Full fine-tuning: everything trains, the reference is another model."""

import torch

from support.models import tiny_policy


def test_every_weight_trains_and_the_reference_is_a_copy() -> None:
    policy = tiny_policy()
    assert all(weight.requires_grad for weight in policy.module.parameters())
    assert policy.reference.module is not policy.model.module


def test_the_reference_may_have_its_own_dtype() -> None:
    policy = tiny_policy(name="none", reference_dtype="bfloat16")
    assert {weight.dtype for weight in policy.reference.module.parameters()} == {torch.bfloat16}
    assert {weight.dtype for weight in policy.module.parameters()} == {torch.float32}
    prompts = policy.encode(["a b c"], [0])
    hidden = policy.reference.hidden(prompts.ids, prompts.mask, prompts.ids, prompts.mask)
    mine = policy.model.hidden(prompts.ids, prompts.mask, prompts.ids, prompts.mask)
    stats = policy.model.token_stats(mine[:, :-1], prompts.ids, (policy.reference, hidden[:, :-1]))
    assert 0 < float(stats.kl_exact_tok.mean()) < 0.05
