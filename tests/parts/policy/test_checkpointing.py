"""Checkpointing keeps less and changes no number; sampling keeps its cache."""

import pytest
import torch

from support.models import tiny_policy

LORA = {"name": "lora", "rank": 4, "alpha": 8.0, "targets": None}


def passed(policy):
    """Gradients of a pass, and the bytes that autograd kept for it."""
    prompts = policy.encode(["a b c", "d", "e f"] * 4, range(12))
    ids, mask = policy.generate(prompts, 8, seeds=range(12))
    kept = []

    def keep(tensor):
        kept.append(tensor.untyped_storage().nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        hidden = policy.model.hidden(prompts.ids, prompts.mask, ids, mask)
    policy.model.token_stats(hidden[:, :-1], ids).logp_tok.sum().backward()
    return [weight.grad for weight in policy.module.parameters() if weight.requires_grad], ids, sum(kept)


@pytest.mark.parametrize("adapter", [{}, LORA])
def test_same_gradients_same_samples_and_less_kept(adapter) -> None:
    plain, ids, much = passed(tiny_policy(**adapter))
    cheap, same_ids, little = passed(tiny_policy(gradient_checkpointing=True, **adapter))
    assert torch.equal(ids, same_ids)
    assert all(torch.allclose(mine, theirs, atol=1e-6) for mine, theirs in zip(cheap, plain, strict=True))
    assert little < much / 3


def test_no_layer_stays_in_training_mode() -> None:
    policy = tiny_policy(gradient_checkpointing=True)
    passed(policy)
    assert not any(part.training for part in policy.model.module.modules())
