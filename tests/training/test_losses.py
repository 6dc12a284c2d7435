"""The terms of the loss against loops over single tokens, in float64."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from safelab.options import State
from safelab.training.losses import Terms, counts, gradient, loss_terms
from support import toy

COEF = 0.4


def made(**given) -> tuple:
    parts = toy.parts(**given)
    return parts, toy.batch(parts)


def terms_of(parts, batch, kl_coef: float = 0.0, **more) -> Terms:
    return loss_terms(parts, toy.plan(kl_coef), batch, counts(batch), objective=State(), **more)


def mean(batch, value: Callable[[int, int, float], float], weights: toy.Bigram) -> float:
    """Mean over the response tokens of ``value(row, column, log-probability under weights)``."""
    found = [
        value(row, column, toy.log_softmax(weights, before)[token]) for row, column, before, token in toy.tokens(batch)
    ]
    return sum(found) / len(found)


def close(found: torch.Tensor, expected: float) -> None:
    assert found.item() == pytest.approx(expected, abs=1e-12)


def test_counts_are_those_of_the_whole_minibatch() -> None:
    _, batch = made()
    found = counts(batch)
    assert (found.sequences, found.tokens, found.columns, found.values) == (3, 4 + 2 + 1, 3 * 4, 7)


def test_every_term_is_a_mean_over_tokens() -> None:
    parts, batch = made()
    weights, found = parts.policy.module, terms_of(parts, batch)
    old, advantage, returns = batch.logp_old_tok.numpy(), batch.advantage_tok.numpy(), batch.returns.numpy()
    values = parts.critic.module.weight.detach().numpy() @ weights.table.detach().numpy().T  # of each head and token
    errors = [0.5 * (values[:, before].mean() - returns[row, column]) ** 2
              for row, column, before, _ in toy.tokens(batch)]  # fmt: skip
    policy = mean(batch, lambda row, column, logp: -advantage[row, column] * math.exp(logp - old[row, column]), weights)
    entropy = np.mean([-(np.exp(logp) * logp).sum() for _, _, before, _ in toy.tokens(batch)
                       for logp in [toy.log_softmax(weights, before)]])  # fmt: skip
    close(found.policy, policy)
    close(found.value, np.mean(errors))
    close(found.entropy, entropy)
    close(found.total, policy + 0.7 * np.mean(errors) - 0.05 * entropy)
    assert set(found.weighted) == {"policy", "value", "entropy"}


def test_a_weight_multiplies_the_policys_loss_of_its_token_and_nothing_else() -> None:
    """Against a loop over tokens, its gradient by central differences in two of the policy's weights; float64."""
    parts, batch = made()
    weight_tok = (0.5 * toy.noise(*batch.mask.shape, seed=77)).exp()
    weighted = replace(batch, weight_tok=weight_tok, corrected_tok=batch.mask)
    plain, found = terms_of(parts, batch), terms_of(parts, weighted)
    old, advantage, weights = batch.logp_old_tok.numpy(), batch.advantage_tok.numpy(), parts.policy.module

    def expected() -> float:
        return mean(
            batch,
            lambda row, column, logp: (
                -weight_tok[row, column].item() * advantage[row, column] * math.exp(logp - old[row, column])
            ),
            weights,
        )

    close(found.policy, expected())
    for name in ("value", "kl", "entropy", "ratio_sum", "clipped_sum", "kl_old_k3_sum"):
        assert getattr(found, name) == getattr(plain, name), name
    assert found.objective["square"] == plain.objective["square"]
    slope = torch.autograd.grad(found.weighted["policy"], weights.out)[0]
    for place in ((0, 1), (2, 3)):
        ends = []
        for step in (1e-6, -2e-6):
            with torch.no_grad():
                weights.out[place] += step
            ends.append(expected())
        with torch.no_grad():
            weights.out[place] += 1e-6
        assert slope[place].item() == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-8)


def test_weights_of_1_change_no_bit() -> None:
    parts, batch = made()
    ones = torch.ones_like(batch.logp_old_tok)
    weighted = replace(batch, weight_tok=ones, corrected_tok=torch.zeros_like(batch.mask))
    pair = [terms_of(parts, each).total for each in (batch, weighted)]
    assert pair[0] == pair[1]
    slopes = [gradient(total, parts.policy.module) for total in pair]
    assert torch.equal(*slopes)


def test_what_a_pass_shows_are_sums_over_tokens() -> None:
    parts, batch = made()
    weights, found = parts.policy.module, terms_of(parts, batch)
    old, reference = batch.logp_old_tok.numpy(), batch.logp_ref_tok.numpy()
    ratios = [math.exp(toy.log_softmax(weights, before)[token] - old[row, column])
              for row, column, before, token in toy.tokens(batch)]  # fmt: skip
    close(found.ratio_sum, sum(ratios))
    close(found.ratio_max, max(ratios))
    close(found.greatest["fall"], -min(ratios))
    close(found.objective["square"], sum(ratio**2 for ratio in ratios))
    close(found.kl_old_k3_sum, sum(ratio - 1 - math.log(ratio) for ratio in ratios))
    close(found.kl_ref_k1_sum, 7 * mean(batch, lambda row, column, logp: logp - reference[row, column], weights))
    assert found.clipped_sum == sum(batch.advantage_tok[row, column] < 0 for row, column, *_ in toy.tokens(batch))


def test_entropy_over_all_columns_counts_padding_too() -> None:
    parts, batch = made(objective=toy.objective(entropy_positions="all"))
    before = torch.cat([batch.prompt_ids[:, -1:], batch.ids[:, :-1]], dim=1).flatten().tolist()
    rows = [toy.log_softmax(parts.policy.module, token) for token in before]
    close(terms_of(parts, batch).entropy, np.mean([-(np.exp(row) * row).sum() for row in rows]))


def kl_by_hand(route: str, parts, batch) -> float:
    """What each route measures; a route that sends no gradient shows the log ratio."""
    weights, reference = parts.policy.module, parts.policy.reference
    wrote, ref = batch.logp_rollout_tok.numpy(), batch.logp_ref_tok.numpy()
    if route == "loss_exact":
        return float(np.mean([
            (np.exp(logp) * (logp - logp_ref)).sum()
            for _, _, before, _ in toy.tokens(batch)
            for logp, logp_ref in [(toy.log_softmax(weights, before), toy.log_softmax(reference, before))]
        ]))  # fmt: skip
    formulas = {
        "loss_k2": lambda d, r: d**2 / 2,
        "loss_k3": lambda d, r: math.exp(-d) - 1 + d,
        "ratio_k1": lambda d, r: math.exp(r) * d,
    }
    formula = formulas.get(route, lambda d, r: d)
    return mean(batch, lambda row, column, logp: formula(logp - ref[row, column], logp - wrote[row, column]), weights)


@pytest.mark.parametrize(
    ("route", "in_loss"),
    [
        ("loss_exact", True),
        ("loss_k1", True),
        ("loss_k2", True),
        ("loss_k3", True),
        ("ratio_k1", True),
        ("reward", False),
        ("constant", False),
    ],
)
def test_the_route_says_which_kl_and_where(route: str, in_loss: bool) -> None:
    parts, batch = made(controller=toy.controller(route))
    found = terms_of(parts, batch, COEF)
    expected = kl_by_hand(route, parts, batch)
    close(found.kl, expected)
    assert ("kl" in found.weighted) == in_loss
    if in_loss:
        close(found.weighted["kl"], COEF * expected)
        assert gradient(found.weighted["kl"], parts.policy.module).abs().max() > 0
        assert "kl" not in terms_of(parts, batch, 0.0).weighted


def test_a_critics_warm_up_trains_the_critic_alone() -> None:
    parts, batch = made(controller=toy.controller("loss_k2"))
    found = terms_of(parts, batch, COEF, train_policy=False)
    assert set(found.weighted) == {"value"}
    assert gradient(found.total, parts.policy.module).abs().max() == 0
    assert gradient(found.total, parts.critic.module).abs().max() > 0


def test_without_a_critic_there_is_no_value_term() -> None:
    parts = toy.parts(critic=toy.critic(grain=None))
    found = terms_of(parts, toy.batch(parts))
    assert "value" not in found.weighted
    assert found.value == 0


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    parts, batch = made(controller=toy.controller("loss_exact"))
    slope = gradient(terms_of(parts, batch, COEF).total, parts.policy.module)
    assert len(slope) == 2 * toy.VOCABULARY * toy.WIDTH
    weight, h = parts.policy.module.table.data, 1e-6
    for index in [(0, 0), (3, 1), (6, 2)]:
        at = []
        for step in (h, -h):
            weight[index] += step
            at.append(terms_of(parts, batch, COEF).total.item())
            weight[index] -= step
        flat = index[0] * toy.WIDTH + index[1]
        assert slope[flat].item() == pytest.approx((at[0] - at[1]) / (2 * h), abs=1e-8)


def test_a_module_that_no_path_leads_to_has_a_gradient_of_zeros() -> None:
    parts, batch = made()
    policy = terms_of(parts, batch).weighted["policy"]
    assert gradient(policy, parts.critic.module).tolist() == [0.0] * (2 * toy.WIDTH)
    assert gradient(policy.detach(), parts.policy.module).abs().max() == 0
    assert gradient(policy, torch.nn.Identity()).shape == (0,)
