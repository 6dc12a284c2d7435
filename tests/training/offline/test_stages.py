"""Pairs are read without padding, both answers behind one prompt, and nothing else changes."""

from pathlib import Path
from typing import Any

import pytest
import torch

from safelab.training.offline.stages import draw_pairs, make_pairs, pair_terms, pieces
from safelab.types import PairBatch
from support.pairs import offline
from support.runs import parts_of


def passed(tmp_path: Path, *overrides: str) -> tuple[Any, PairBatch, torch.Tensor, torch.Tensor]:
    """Components, the first batch, log pi of its answers, and the gradient of its loss."""
    parts = parts_of(offline(tmp_path, "algorithm=dpo", "policy.packing=auto", *overrides))
    batch = make_pairs(parts, draw_pairs(parts, 0))
    # The policy is to differ from its reference, or the loss would have no say.
    with torch.no_grad():
        for weight in parts.policy.model.module.parameters():
            weight.add_(0.01 * torch.linspace(-1, 1, weight.numel()).view_as(weight))
    terms = [pair_terms(parts, piece, len(batch.ids)) for piece in pieces(parts, batch)]
    torch.stack([term.loss for term in terms]).sum().backward()
    gradients = [weight.grad.flatten() for weight in parts.policy.model.module.parameters() if weight.grad is not None]
    return parts, batch, torch.cat([term.logp for term in terms]), torch.cat(gradients)


@pytest.mark.parametrize("cut", ["optimizer.micro_batch_tokens=null", "optimizer.micro_batch_tokens=40"])
def test_log_probabilities_and_gradients_are_those_with_padding(cut: str, tmp_path: Path) -> None:
    _, plain, logp, gradient = passed(tmp_path, "policy.packing=none")
    parts, batch, found, mine = passed(tmp_path, cut)
    assert (len(pieces(parts, batch)) > 1) == cut.endswith("40")
    assert torch.allclose(batch.logp_ref, plain.logp_ref, atol=1e-5)
    assert torch.allclose(found, logp, atol=1e-5)
    assert float(gradient.abs().max()) > 0.01
    assert torch.allclose(mine, gradient, atol=1e-5)


@pytest.mark.parametrize("cut", ["optimizer.micro_batch_tokens=null", "optimizer.micro_batch_tokens=40"])
def test_both_answers_of_a_pair_read_its_prompt_once(cut: str, tmp_path: Path) -> None:
    parts = parts_of(offline(tmp_path, "algorithm=dpo", "policy.packing=auto", cut))
    batch = make_pairs(parts, draw_pairs(parts, 0))
    parts.policy.tally.take()
    for piece in pieces(parts, batch):
        pair_terms(parts, piece, len(batch.ids))
    tokens = int(batch.prompt_mask.sum() + batch.mask.sum())
    assert parts.policy.tally.positions == tokens < int(2 * batch.prompt_mask.sum() + batch.mask.sum())
