"""Compiled passes give the numbers of plain ones, gradients and adapter-off reference included."""

from functools import partial

import pytest
import torch

from support.models import tiny_policy

LORA = {"name": "lora", "rank": 4, "alpha": 8.0, "targets": None}


def passed(policy):
    """Statistics and gradients over two batches of different widths."""
    found = []
    for texts in (["a b c", "d"], ["e", "f f a b", "c"]):
        prompts = policy.encode(texts, range(len(texts)))
        ids = torch.randint(2, 12, (len(texts), 5), generator=torch.Generator().manual_seed(0))
        inputs = (prompts.ids, prompts.mask, ids, torch.ones_like(ids, dtype=torch.bool))
        hidden = policy.model.hidden(*inputs)
        with torch.no_grad():
            hidden_ref = policy.reference.hidden(*inputs)
        stats = policy.model.token_stats(hidden[:, :-1], ids, (policy.reference, hidden_ref[:, :-1]))
        weights = [weight for weight in policy.module.parameters() if weight.requires_grad]
        # Once for itself, as the audit of the first update does, and once to train.
        found += torch.autograd.grad(stats.logp_tok.sum(), weights, retain_graph=True, allow_unused=True)
        (stats.logp_tok.sum() + stats.kl_exact_tok.sum()).backward()
        found += [stats.logp_tok, stats.kl_exact_tok, hidden_ref]
    return found + [weight.grad for weight in policy.module.parameters() if weight.requires_grad]


@pytest.mark.long
def test_compiled_passes_are_plain_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    # Traced as for a GPU, forward and back; the code generator is torch's own affair.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    plain, compiled = tiny_policy(**LORA), tiny_policy(compiled=True, **LORA)
    with torch.no_grad():
        for mine, theirs in zip(plain.module.parameters(), compiled.module.parameters(), strict=True):
            if mine.requires_grad:
                noise = 0.1 * torch.randn(mine.shape)
                mine.add_(noise)
                theirs.add_(noise)
    for mine, theirs in zip(passed(plain), passed(compiled), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5)
