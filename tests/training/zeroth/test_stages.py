"""Perturbations that leave no trace, votes that can be cast again, and an estimate that meets autograd's gradient."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from safelab.training import rollouts
from safelab.training.components import Components
from safelab.training.probes.audit import rollout_of, score
from safelab.training.zeroth.stages import (
    Ballot,
    direction_of,
    estimate,
    perturbed,
    shares,
    trained_weights,
    vote,
    write_perturbed,
)
from support.runs import by_votes, parts_of

ONE_MATRIX = ["policy/adapter=lora", "policy.adapter.rank=1", "policy.adapter.targets=[o_proj]"]


def flat(tensors: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([tensor.detach().flatten() for tensor in tensors]).clone()


def ballot(gaps: torch.Tensor) -> Ballot:
    nothing = torch.zeros(len(gaps), dtype=torch.bool)
    return Ballot(share_seq=gaps, gap_seq=gaps, tie_seq=nothing, trimmed_seq=nothing, votes=0)


@pytest.mark.parametrize("block", ["null", "5"])
def test_a_perturbation_has_the_length_mu_and_leaves_no_trace(block: str, tmp_path: Path) -> None:
    parts = parts_of(by_votes(tmp_path, "optimizer.mu=0.7", f"optimizer.block_size={block}"))
    before = flat(trained_weights(parts))
    with perturbed(parts, 3, 1):
        moved = flat(trained_weights(parts)) - before
    assert float(moved.norm()) == pytest.approx(0.7, rel=1e-3)
    assert torch.allclose(moved, 0.7 * flat([*direction_of(parts, 3, 1)]), atol=1e-6)
    assert torch.equal(flat(trained_weights(parts)), before)
    # Taking it away again would not have done.
    assert not torch.equal((before + 0.7 * moved) - 0.7 * moved, before)


def test_a_rollout_that_fails_leaves_no_trace_either(tmp_path: Path) -> None:
    parts = parts_of(by_votes(tmp_path))
    before = flat(trained_weights(parts))
    with pytest.raises(ZeroDivisionError), perturbed(parts, 0, 0):
        raise ZeroDivisionError
    assert torch.equal(flat(trained_weights(parts)), before)


def test_directions_differ_by_seed_update_and_number(tmp_path: Path) -> None:
    parts, other = parts_of(by_votes(tmp_path)), parts_of(by_votes(tmp_path, "seed=1"))
    drawn = [flat([*direction_of(*which)]) for which in ((parts, 0, 0), (parts, 0, 1), (parts, 1, 0), (other, 0, 0))]
    assert torch.equal(drawn[0], flat([*direction_of(parts, 0, 0)]))
    assert all(not torch.equal(drawn[0], one) for one in drawn[1:])


def test_only_the_adapters_weights_are_perturbed(tmp_path: Path) -> None:
    parts = parts_of(by_votes(tmp_path, *ONE_MATRIX))
    frozen = [weight for weight in parts.policy.module.parameters() if not weight.requires_grad]
    before = flat(frozen)
    assert 0 < len(flat(trained_weights(parts))) < len(before)
    with perturbed(parts, 0, 0):
        assert torch.equal(flat(frozen), before)


def test_every_row_is_in_one_share(tmp_path: Path) -> None:
    parts = parts_of(by_votes(tmp_path, "optimizer.perturbations=3"))
    rows = [row for share in shares(parts, 8) for row in range(share.start, share.stop)]
    assert rows == [*range(8)]
    assert [share.stop - share.start for share in shares(parts, 8)] == [2, 3, 3]


def test_with_the_same_noise_and_no_way_to_go_both_write_the_same_and_nobody_votes(tmp_path: Path) -> None:
    parts = parts_of(by_votes(tmp_path, "optimizer.noise=same", "optimizer.mu=1e-9"))
    prompts = rollouts.draw_prompts(parts, 0)
    rollout = rollouts.roll_out(parts, prompts, 0)
    written = write_perturbed(parts, prompts, 0)
    assert [text for one in written for text in one.responses] == [*rollout.responses]
    scored = score(parts, rollout)
    votes = vote(parts, scored, written, 0)
    assert (votes.votes, votes.tie_seq.all(), votes.gap_seq.abs().max()) == (0, True, 0.0)
    own = write_perturbed(parts_of(by_votes(tmp_path, "optimizer.mu=1e-9")), prompts, 0)
    assert [text for one in own for text in one.responses] != [*rollout.responses]


def test_one_text_with_its_end_and_without_is_put_to_the_vote(tmp_path: Path) -> None:
    parts = parts_of(by_votes(tmp_path, "optimizer.noise=same", "optimizer.mu=1e-9", "optimizer.perturbations=1"))
    prompts = rollouts.draw_prompts(parts, 0)
    rollout = rollouts.roll_out(parts, prompts, 0)
    (other,) = write_perturbed(parts, prompts, 0)
    ended_seq = other.ended_seq.clone()
    ended_seq[0] = ~ended_seq[0]
    votes = vote(parts, score(parts, rollout), [replace(other, ended_seq=ended_seq)], 0)
    assert votes.tie_seq.tolist() == [False, *[True] * (len(ended_seq) - 1)]


def test_votes_are_binomial_by_the_link(tmp_path: Path) -> None:
    """Each share within five deviations of the closed form; the reward lies in [0, 1]."""
    settings = ["optimizer.oracle.votes=4000", "optimizer.oracle.link_temperature=0.5", "rollout.batch_size=16"]
    parts = parts_of(by_votes(tmp_path, *settings))
    scored, written = written_pairs(parts)
    votes = vote(parts, scored, written, 0)
    theirs = [text.split() for one in written for text in one.responses]
    score_of = [words.count("good") / max(1, len(words)) for words in theirs]
    wanted = [
        1 / (1 + math.exp(-(one - own) / 0.5)) for one, own in zip(score_of, scored.reward_seq.tolist(), strict=True)
    ]
    for share, chance in zip(votes.share_seq.tolist(), wanted, strict=True):
        assert abs(share - chance) < 5 * math.sqrt(chance * (1 - chance) / 4000)
    assert votes.votes == 4000 * int((~votes.tie_seq).sum())
    assert max(abs(chance - 0.5) for chance in wanted) > 0.2
    # The same ballot again, and another in another update.
    assert torch.equal(vote(parts, scored, written, 0).share_seq, votes.share_seq)
    assert not torch.equal(vote(parts, scored, written, 1).share_seq, votes.share_seq)


def written_pairs(parts: Components):
    scored = score(parts, rollout_of(parts, 0))
    return scored, write_perturbed(parts, scored.rollout.prompts, 0)


def test_the_estimate_by_hand(tmp_path: Path) -> None:
    parts = parts_of(by_votes(tmp_path, "optimizer.mu=0.5"))
    size = sum(weight.numel() for weight in trained_weights(parts))
    gaps = torch.tensor([1.0, 2.0, 0.0, 1.0, -1.0, 0.0, 0.0, -2.0])
    first, second = (flat([*direction_of(parts, 2, number)]) for number in (0, 1))
    # Each perturbation has four rows: mean gaps of 1 and -3/4, and d / mu = 2 d.
    wanted = (2 * size * 1.0 * first + 2 * size * -0.75 * second) / 2
    assert torch.allclose(flat(estimate(parts, ballot(gaps), 2)), wanted, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("block", ["null", "8"])
def test_on_a_bandit_of_one_token_it_is_autograds_gradient(block: str, tmp_path: Path) -> None:
    """V = sum over tokens of pi(token) score(token), exact: the mean estimate along autograd's gradient is its length.

    By 200 updates of two perturbations over some dozens of weights; the rest of it is noise that shrinks as the root of
    their number, so that the cosine is above 0.8.
    """
    settings = ["optimizer.mu=0.01", f"optimizer.block_size={block}", "rollout.max_new_tokens=1", *ONE_MATRIX]
    parts = parts_of(by_votes(tmp_path, *settings))
    weights, rollout = trained_weights(parts), rollout_of(parts, 0)
    with torch.no_grad():
        for weight in weights:  # LoRA's B is zero at the start, where A has no gradient
            weight.add_(torch.linspace(-0.5, 0.5, weight.numel()).view_as(weight))
    inputs = rollout.prompts.ids, rollout.prompts.mask, rollout.ids, rollout.mask
    scores = torch.linspace(-20, 20, len(parts.policy.vocabulary()))

    def values() -> torch.Tensor:
        return parts.policy.model.log_probs(parts.policy.model.hidden(*inputs)[:, 0]).exp() @ scores

    gradient = flat([*torch.autograd.grad(values().mean(), weights)])
    found = []
    with torch.no_grad():
        start = values()
        for update in range(200):
            gaps = torch.zeros(len(start))
            for number, share in enumerate(shares(parts, len(start))):
                with perturbed(parts, update, number):
                    gaps[share] = (values() - start).mean()
            found.append(flat(estimate(parts, ballot(gaps), update)))
    along = torch.stack(found) @ gradient / gradient.square().sum()
    error = float(along.std() / math.sqrt(len(along)))
    assert abs(float(along.mean()) - 1) < 4 * error < 0.6
    mean = torch.stack(found).mean(dim=0)
    assert float(torch.cosine_similarity(mean, gradient, dim=0)) > 0.8
