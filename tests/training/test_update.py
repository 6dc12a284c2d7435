"""How the weights move: cutting changes nothing, limits hold, and the cap keeps an update within its KL."""

import math
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from safelab.errors import Diverged
from safelab.options import State
from safelab.ranks import Ranks
from safelab.training.components import Components
from safelab.training.losses import counts, loss_terms
from safelab.training.update import (
    MinibatchTerms,
    UpdateStats,
    cap_update,
    cuts,
    limit_gradient,
    micro_batches,
    minibatches,
    pass_means,
    run_epoch,
    step,
    update_kl,
    weights_of,
)
from support import toy


def made(minibatches: int = 1, micro: int | None = None, **given) -> Components:
    cut = SimpleNamespace(minibatches=minibatches, micro_batch_size=micro, micro_batch_tokens=None, epochs=2)
    return toy.parts(optimizer=cut, controller=toy.controller("loss_exact"), **given)


def stepped(micro: int | None, **more) -> tuple[Components, MinibatchTerms]:
    parts = made(micro=micro)
    state = toy.state(parts, **more)
    batch = toy.batch(parts)
    return parts, step(parts, state, batch, counts(batch), toy.plan(0.4), True, None, 0)


def moved(parts: Components) -> list[torch.Tensor]:
    return [*parts.policy.module.parameters(), *parts.critic.module.parameters()]


@pytest.mark.parametrize("micro", [1, 2, 3])
def test_pieces_move_the_weights_as_the_whole_does(micro: int) -> None:
    whole, terms = stepped(None)
    cut, terms_cut = stepped(micro)
    start = moved(made())
    for mine, theirs, before in zip(moved(cut), moved(whole), start, strict=True):
        assert not torch.equal(theirs, before)
        torch.testing.assert_close(mine, theirs, atol=1e-12, rtol=0)
    assert terms_cut.tokens == terms.tokens == 7
    assert terms_cut.sums == pytest.approx(terms.sums, abs=1e-12)
    assert (terms_cut.ratio_max, terms_cut.greatest) == (terms.ratio_max, terms.greatest)


def test_a_step_is_plain_gradient_descent_here() -> None:
    lr, h = 0.1, 1e-6
    parts, after = made(), stepped(None, lr=lr)[0]
    batch, weight = toy.batch(parts), parts.policy.module.out.data

    def loss() -> float:
        return loss_terms(parts, toy.plan(0.4), batch, counts(batch), objective=State()).total.item()

    for index in [(0, 0), (2, 5)]:
        start = weight[index].item()
        at = []
        for x in (start + h, start - h):
            weight[index] = x
            at.append(loss())
        weight[index] = start
        slope = (at[0] - at[1]) / (2 * h)
        assert after.policy.module.out[index].item() == pytest.approx(start - lr * slope, abs=1e-8)


def test_a_step_is_no_longer_than_the_limit() -> None:
    before = made()
    parts, terms = stepped(None, lr=1.0, limit=1e-3)
    pairs = zip(weights_of(parts.policy.module), weights_of(before.policy.module), strict=True)
    length = math.sqrt(sum((new - old).square().sum().item() for new, old in pairs))
    assert terms.sums["policy_grad_norm"] > 0.01  # what is told is the norm before the limit
    assert length == pytest.approx(1e-3, rel=1e-3)


def test_the_limit_by_hand() -> None:
    def module() -> torch.nn.Linear:
        weights = torch.nn.Linear(2, 1, bias=False, dtype=torch.float64)
        weights.weight.grad = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
        return weights

    free, held, loose = module(), module(), module()
    limit = partial(limit_gradient, Ranks())
    assert limit(free, None) == limit(held, 1.0) == limit(loose, 6.0) == 5.0
    assert free.weight.grad.tolist() == loose.weight.grad.tolist() == [[3.0, 4.0]]
    torch.testing.assert_close(held.weight.grad, torch.tensor([[0.6, 0.8]], dtype=torch.float64), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("count", "size"), [(2, 8), (3, 8), (8, 8)])
def test_minibatches_are_a_partition(count: int, size: int) -> None:
    parts = made(minibatches=count)

    def order(update: int, epoch: int) -> list[list[int]]:
        return [rows.tolist() for rows in minibatches(parts, size, update, epoch, torch.device("cpu"))]

    cut = order(4, 1)
    assert len(cut) == count
    assert sorted(row for rows in cut for row in rows) == list(range(size))
    assert max(map(len, cut)) - min(map(len, cut)) <= 1
    assert order(4, 1) == cut
    assert len({str(order(update, epoch)) for update in (4, 5) for epoch in (0, 1)}) == 4


def test_one_minibatch_is_the_batch_as_it_is() -> None:
    assert minibatches(made(), 8, 0, 0, torch.device("cpu")) == [None]


def test_each_epochs_minibatches_are_counted_by_their_rows() -> None:
    parts = made(minibatches=2)
    batch = toy.batch(parts)
    found = cuts(parts, batch, 0)
    assert [len(epoch) for epoch in found] == [2, 2]
    for rows, whole in (cut for epoch in found for cut in epoch):
        assert rows is not None
        assert whole == counts(batch.rows(rows))


def test_micro_batches_are_pieces_in_order() -> None:
    batch = toy.batch(made())
    whole, cut, three = made(), made(micro=2), made(micro=3)
    assert [piece.returns.shape[0] for piece in micro_batches(cut, batch)] == [2, 1]
    assert torch.equal(torch.cat([piece.ids for piece in micro_batches(cut, batch)]), batch.ids)
    assert list(micro_batches(whole, batch)) == list(micro_batches(three, batch)) == [batch]


def test_an_epoch_steps_once_for_each_minibatch_and_tells_means_over_its_tokens() -> None:
    parts, stats = made(minibatches=3), UpdateStats()
    batch = toy.batch(parts)
    terms = run_epoch(parts, toy.state(parts), batch, toy.plan(0.4), 0, cuts(parts, batch, 0)[0], stats)
    assert (stats.passes, stats.tokens) == (3, 7)
    assert sorted(minibatch.tokens for minibatch in terms) == sorted(toy.LENGTHS)
    assert stats.token_mean("ratio") == pytest.approx(sum(minibatch.sums["ratio"] for minibatch in terms) / 7)
    assert stats.pass_mean("policy") == pytest.approx(sum(minibatch.sums["policy"] for minibatch in terms) / 3)
    assert stats.ratio_max == max(minibatch.ratio_max for minibatch in terms)
    falls = [minibatch.greatest["objective/fall_max"] for minibatch in terms]
    assert stats.greatest == {"objective/fall_max": max(falls)}
    assert pass_means(terms, "objective/") == {"square": pytest.approx(stats.token_mean("objective/square"))}


def test_the_first_ratio_tells_how_far_the_pass_is_from_the_old_policy() -> None:
    stats = UpdateStats()
    for ratio in (7.7, 14.0):
        stats.add(MinibatchTerms(tokens=7, ratio_max=ratio, sums={"ratio": ratio}))
    assert stats.first_ratio_error == pytest.approx(0.1)
    assert (stats.ratio_max, stats.token_mean("ratio")) == (14.0, pytest.approx(21.7 / 14))


def test_a_critics_warm_up_leaves_the_policy_alone() -> None:
    for update, still in ((0, True), (1, False)):
        parts = made(critic=toy.critic(warmup_updates=1))
        before = [weight.detach().clone() for weight in moved(parts)]
        state, batch = toy.state(parts, update=update), toy.batch(parts)
        run_epoch(parts, state, batch, toy.plan(0.4), 0, cuts(parts, batch, update)[0], UpdateStats())
        same = [torch.equal(new, old) for new, old in zip(moved(parts), before, strict=True)]
        assert same == [still, still, False]


def test_what_is_not_finite_moves_no_weight() -> None:
    parts = made()
    before = [weight.detach().clone() for weight in moved(parts)]
    batch = replace(toy.batch(parts), returns=torch.full((3, 4), math.inf, dtype=torch.float64))
    with pytest.raises(Diverged, match="value must be finite, got inf at update 6"):
        step(parts, toy.state(parts, update=6), batch, counts(batch), toy.plan(), True, None, 0)
    assert all(torch.equal(new, old) for new, old in zip(moved(parts), before, strict=True))


def shifted(parts: Components, size: float) -> tuple[list[torch.Tensor], list[torch.Tensor], object]:
    """The policy's weights before and after an update of ``size``, and a batch that the old weights wrote."""
    batch, module = toy.batch(parts), parts.policy.module
    batch = replace(batch, logp_old_tok=batch.logp_rollout_tok)
    before = weights_of(module)
    for number, weight in enumerate(module.parameters()):
        weight.data += size * toy.noise(*weight.shape, seed=50 + number)
    return before, weights_of(module), batch


def test_the_kl_of_an_update_is_k3_over_its_tokens() -> None:
    parts = made()
    _, _, batch = shifted(parts, 0.2)
    gaps = [
        toy.log_softmax(parts.policy.module, before)[token] - batch.logp_old_tok[row, column].item()
        for row, column, before, token in toy.tokens(batch)
    ]
    assert update_kl(parts, batch) == pytest.approx(sum(math.exp(gap) - 1 - gap for gap in gaps) / 7, abs=1e-12)


def test_an_update_within_the_cap_stays() -> None:
    parts = made()
    before, after, batch = shifted(parts, 0.01)
    assert cap_update(parts, before, batch, max_kl=1.0) == 1.0
    assert all(torch.equal(now, then) for now, then in zip(parts.policy.module.parameters(), after, strict=True))


@pytest.mark.parametrize("max_kl", [0.05, 1e-3])
def test_an_update_beyond_the_cap_is_drawn_back_along_its_way(max_kl: float) -> None:
    parts = made()
    before, after, batch = shifted(parts, 0.5)
    assert update_kl(parts, batch) > max_kl
    scale = cap_update(parts, before, batch, max_kl)
    assert 0 < scale < 1
    assert update_kl(parts, batch) <= max_kl
    for now, old, new in zip(parts.policy.module.parameters(), before, after, strict=True):
        torch.testing.assert_close(now.detach(), old + scale * (new - old), atol=1e-12, rtol=0)


def test_an_update_without_a_finite_kl_is_undone() -> None:
    parts = made()
    before, _, batch = shifted(parts, math.nan)
    assert cap_update(parts, before, batch, max_kl=0.1) == 0.0
    assert all(torch.isfinite(weight).all() for weight in parts.policy.module.parameters())
