"""What holds for every objective: whatever stands on padding, in which order, in how many pieces, at which extremes.

Gradients are taken in the logits of a small vocabulary, so that objectives over whole distributions take part.
"""

from dataclasses import dataclass, replace

import pytest
import torch

from safelab.types import Current, TrainBatch
from support.objectives import OBJECTIVES, component, golden_batch, objective
from support.objectives import current as now

WHOLE = {name for name in OBJECTIVES if objective(name).needs & {"whole_minibatch", "whole_groups"}}
TOGETHER = {name for name in OBJECTIVES if "groups_together" in objective(name).needs}
# Objectives whose gradient is not REINFORCE's at policy = old, each with a test of its own gradient there.
OTHER_AT_OLD = {
    "weighted_sft", "robust_group", "logits_convex", "logits_convex_released", "logits_convex_sampled", "clip_cov",
    "best_of_n", "online_dpo", "logits_convex_dense", "grpo_guard",
}  # fmt: skip
# Those that hold the policy near the old one, so that they have a gradient without any advantage.
REGULARISED = {
    "weighted_sft", "logits_convex", "logits_convex_released", "logits_convex_dense", "ratio_variance", "kl_cov",
    "robust_group",
}  # fmt: skip


@dataclass(frozen=True)
class World:
    """Six responses to three prompts, of 1 to 5 tokens; logits now, before, and when they were sampled."""

    batch: TrainBatch
    logits: torch.Tensor


def world(shift: float = 0.5, advantage: float = 1.0, rows: int = 6, columns: int = 5, vocabulary: int = 7) -> World:
    noise = torch.Generator().manual_seed(3)
    before = torch.randn(rows, columns, vocabulary, generator=noise)
    logits = before + shift * torch.randn(rows, columns, vocabulary, generator=noise)
    ids = torch.randint(vocabulary, (rows, columns), generator=noise)
    lengths = torch.tensor([1, 5, 3, 2, 4, 5])
    mask = torch.arange(columns) < lengths[:, None]
    old = before.log_softmax(-1)
    old_tok = old.gather(-1, ids.unsqueeze(-1)).squeeze(-1)
    scores = torch.tensor([0.5, -0.5, 1.2, -1.2, 0.3, -0.3])
    return World(
        batch=golden_batch(
            prompt_ids=torch.zeros(rows, 1, dtype=torch.long),
            prompt_mask=torch.ones(rows, 1, dtype=torch.bool),
            group_seq=torch.tensor([0, 0, 1, 1, 2, 2]),
            ids=ids,
            mask=mask,
            logp_rollout_tok=old_tok,
            logp_old_tok=old_tok,
            logp_ref_tok=old_tok + 0.1 * torch.randn(rows, columns, generator=noise),
            hidden_ref=torch.zeros(rows, columns, 1),
            advantage_tok=advantage * scores[:, None] * mask,
            heads_old=torch.zeros(rows, 0, 1),
            returns=torch.zeros(rows, 0),
            value_mask=torch.zeros(rows, 0, dtype=torch.bool),
            logp_vocab_old=old,
        ),
        logits=logits,
    )


def present(logits: torch.Tensor, batch: TrainBatch) -> Current:
    logp = logits.log_softmax(-1)
    sampled, logit = (x.gather(-1, batch.ids.unsqueeze(-1)).squeeze(-1) for x in (logp, logits))
    return replace(now(sampled, logp), logit_tok=logit)


def aggregation_of(name: str) -> str:
    return "sequence_mean" if "sequence_mean" in objective(name).needs else "token_mean"


def gradient(name: str, made: World, pieces: list[torch.Tensor] | None = None) -> torch.Tensor:
    """D loss / d logits, added up over ``pieces`` of the rows."""
    from safelab.training.losses import counts

    leaf = made.logits.clone().requires_grad_(True)
    chosen, reduce = objective(name), component("aggregation", aggregation_of(name))
    for rows in pieces or [torch.arange(len(made.batch))]:
        part = made.batch.rows(rows)
        answer = chosen.loss(chosen.init(), present(leaf[rows], part), part)
        reduce.reduce(answer.loss_tok, part.mask, counts(made.batch)).backward()
    return leaf.grad


def test_there_is_something_to_judge() -> None:
    assert len(OBJECTIVES) >= 12
    assert {"balanced_clip", "balanced_clip_released", "clip_cov", "kl_cov", "robust_group", "grpo_guard"} == WHOLE
    assert {"best_of_n", "online_dpo"} == TOGETHER


@pytest.mark.parametrize("name", sorted(set(OBJECTIVES) - OTHER_AT_OLD))
def test_at_the_old_policy_the_gradient_is_that_of_reinforce(name: str) -> None:
    made = world(shift=0.0)
    leaf = made.logits.clone().requires_grad_(True)
    batch = made.batch
    logp = present(leaf, batch).logp_tok
    (-(batch.advantage_tok * logp)[batch.mask].sum() / batch.mask.sum()).backward()
    assert torch.allclose(gradient(name, made), leaf.grad, atol=1e-6)
    assert leaf.grad.norm() > 0.1


def test_at_the_old_policy_the_convex_loss_is_reinforce_to_first_order() -> None:
    """Times the sampled token's own probability: pi* - pi = A pi(a) (onehot(a) - pi) + O(A^2)."""
    made = world(shift=0.0, advantage=1e-3)
    prob = made.batch.logp_old_tok.exp().unsqueeze(-1)
    convex, reinforce = gradient("logits_convex", made), gradient("ppo_clip", made)
    assert torch.allclose(convex, prob * reinforce, atol=1e-7)
    assert convex.abs().max() > 1e-5


@pytest.mark.parametrize("name", OBJECTIVES)
def test_padding_has_no_influence(name: str) -> None:
    made = world()
    junk = ~made.batch.mask
    spoiled = {
        field: torch.where(junk, torch.full_like(getattr(made.batch, field), 40.0), getattr(made.batch, field))
        for field in ("logp_rollout_tok", "logp_old_tok", "logp_ref_tok", "advantage_tok")
    }
    dirty = World(batch=replace(made.batch, **spoiled), logits=made.logits)
    clean, other = gradient(name, made), gradient(name, dirty)
    assert torch.allclose(clean[made.batch.mask], other[made.batch.mask], atol=1e-6)
    assert torch.equal(other[junk], torch.zeros_like(other[junk]))


# Clip-Cov draws tokens by their place.
@pytest.mark.parametrize("name", sorted(set(OBJECTIVES) - {"clip_cov"}))
def test_the_order_of_responses_has_no_influence(name: str) -> None:
    made = world()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    turned = World(batch=made.batch.rows(order), logits=made.logits[order])
    assert torch.allclose(gradient(name, made)[order], gradient(name, turned), atol=1e-6)


@pytest.mark.parametrize("name", sorted(set(OBJECTIVES) - WHOLE))
def test_accumulation_has_no_influence(name: str) -> None:
    made = world()
    cut = [[0, 1], [2, 3], [4, 5]] if name in TOGETHER else [[0, 1], [2, 3, 4], [5]]
    pieces = [torch.tensor(rows) for rows in cut]
    assert torch.allclose(gradient(name, made), gradient(name, made, pieces), atol=1e-6)


def without_the_dropped(name: str, made: World) -> tuple[torch.Tensor, torch.Tensor]:
    """D loss / d logits with the sequence mask, and which responses it leaves out."""
    from safelab.training.losses import counts

    leaf, chosen, batch = made.logits.clone().requires_grad_(True), objective(name), made.batch
    now_seen = present(leaf, batch)
    mask = component("correction", "sequence_mask", threshold=0.05)
    log_ratio_tok = now_seen.logp_tok.detach() - batch.logp_rollout_tok
    dropped_seq = mask.dropped(log_ratio_tok, batch.advantage_seq, batch.mask)
    loss_tok = chosen.loss(chosen.init(), now_seen, batch).loss_tok.masked_fill(dropped_seq.unsqueeze(1), 0.0)
    component("aggregation", aggregation_of(name)).reduce(loss_tok, batch.mask, counts(batch)).backward()
    return leaf.grad, dropped_seq


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_bad_response_can_be_left_out_where_it_has_a_loss_of_its_own(name: str) -> None:
    """It has no gradient then and the others keep theirs; where responses share a loss, neither holds."""
    made = world()
    found, dropped_seq = without_the_dropped(name, made)
    assert 0 < dropped_seq.sum() < len(dropped_seq)
    whole = gradient(name, made)
    apart = torch.equal(found[dropped_seq], torch.zeros_like(found[dropped_seq]))
    same = torch.allclose(found[~dropped_seq], whole[~dropped_seq], atol=1e-7)
    if name == "weighted_sft":
        # What is left out is a pull upwards.
        assert (whole[dropped_seq].gather(-1, made.batch.ids[dropped_seq].unsqueeze(-1)) <= 0).all()
    assert (apart and same) == objective(name).own_loss
    assert objective(name).own_loss or not objective(name).pushes_down


def weighed(name: str, made: World, weight_seq: torch.Tensor) -> torch.Tensor:
    """D loss / d logits where each response's tokens have a weight."""
    from safelab.training.losses import counts

    leaf, chosen, batch = made.logits.clone().requires_grad_(True), objective(name), made.batch
    loss_tok = weight_seq.unsqueeze(1) * chosen.loss(chosen.init(), present(leaf, batch), batch).loss_tok
    component("aggregation", aggregation_of(name)).reduce(loss_tok, batch.mask, counts(batch)).backward()
    return leaf.grad


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_weight_of_0_takes_a_response_out_where_the_objective_says_so(name: str) -> None:
    """As `truncate`, `mask` and `geometric` weigh: that response has no gradient, and the others keep theirs."""
    made, apart = world(), []
    whole = gradient(name, made)
    assert whole.any(), "there is something to take out"
    for row in range(len(whole)):
        expected = whole.clone()
        expected[row] = 0.0
        weight_seq = torch.ones(len(whole)).index_fill(0, torch.tensor([row]), 0.0)
        apart.append(torch.allclose(weighed(name, made, weight_seq), expected, atol=1e-7))
    assert all(apart) == objective(name).own_loss


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("ratio", [-50.0, 50.0])
def test_extreme_ratios_give_numbers(name: str, ratio: float) -> None:
    made = world()
    far = {"logp_rollout_tok": made.batch.logp_rollout_tok - ratio, "logp_old_tok": made.batch.logp_old_tok - ratio}
    assert torch.isfinite(gradient(name, World(batch=replace(made.batch, **far), logits=made.logits))).all()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_equal_rewards_give_numbers(name: str) -> None:
    assert torch.isfinite(gradient(name, world(advantage=0.0))).all()


@pytest.mark.parametrize("name", sorted(set(OBJECTIVES) - {"weighted_sft", "logits_convex_dense"}))
def test_without_advantage_the_old_policy_has_no_gradient(name: str) -> None:
    found = gradient(name, world(shift=0.0, advantage=0.0))
    assert torch.allclose(found, torch.zeros_like(found), atol=1e-6)


@pytest.mark.parametrize("name", sorted(set(OBJECTIVES) - REGULARISED))
def test_without_advantage_there_is_no_gradient_anywhere(name: str) -> None:
    found = gradient(name, world(shift=1.0, advantage=0.0))
    assert torch.equal(found, torch.zeros_like(found))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_metrics_are_numbers_without_gradient(name: str) -> None:
    made = world()
    chosen = objective(name)
    answer = chosen.loss(chosen.init(), present(made.logits.requires_grad_(True), made.batch), made.batch)
    for metric in answer.metrics_tok.values():
        assert torch.isfinite(metric[made.batch.mask]).all()
    for metric in answer.greatest_tok.values():
        assert torch.isfinite(metric[made.batch.mask]).all()
    assert all(torch.isfinite(metric).all() for metric in answer.metrics_seq.values())
    told = answer.metrics_tok | answer.metrics_seq | answer.greatest_tok
    assert not any(metric.requires_grad for metric in told.values())
