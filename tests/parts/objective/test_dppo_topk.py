import math

import pytest
import torch

from support.objectives import ADVANTAGE, MASK, golden_batch, objective, told
from support.objectives import current as now

NOISE = torch.Generator().manual_seed(5)
VOCABULARY = 9
BEFORE = torch.randn(2, 3, VOCABULARY, generator=NOISE, dtype=torch.float64)
LOGP_OLD = BEFORE.log_softmax(-1)
LOGP_NEW = (BEFORE + 0.8 * torch.randn(2, 3, VOCABULARY, generator=NOISE, dtype=torch.float64)).log_softmax(-1)
IDS = torch.tensor([[0, 4, 8], [3, 7, 1]])


def sampled(logp: torch.Tensor) -> torch.Tensor:
    return logp.gather(-1, IDS.unsqueeze(-1)).squeeze(-1)


def batch():
    old = sampled(LOGP_OLD)
    return golden_batch(
        ids=IDS,
        logp_vocab_old=LOGP_OLD,
        logp_old_tok=old,
        logp_rollout_tok=old,
        advantage_tok=ADVANTAGE.double(),
    )


def by_hand(kind: str, k: int) -> list[float]:
    """A loop over tokens in plain numbers."""
    found = []
    for row, column in MASK.nonzero().tolist():
        mu, pi = LOGP_OLD[row, column].exp().tolist(), LOGP_NEW[row, column].exp().tolist()
        chosen = sorted(range(VOCABULARY), key=lambda token: -mu[token])[:k]
        if int(IDS[row, column]) not in chosen:
            chosen[-1] = int(IDS[row, column])
        parts = [(mu[token], pi[token]) for token in chosen]
        rest = [(1 - sum(p for p, _ in parts), 1 - sum(q for _, q in parts))] if k < VOCABULARY else []
        if kind == "tv":
            found.append(sum(abs(p - q) for p, q in parts + rest) / 2)
        else:
            found.append(sum(p * math.log(p / q) for p, q in parts + rest))
    return found


@pytest.mark.parametrize("name", ["dppo_topk", "dppo_topk_kl"])
@pytest.mark.parametrize("k", [1, 2, 4, VOCABULARY])
def test_the_divergence_is_that_of_a_loop(name: str, k: int) -> None:
    made = objective(name, top_k=k)
    distance = told(made, now(sampled(LOGP_NEW), LOGP_NEW), batch()).metrics_tok["divergence"][MASK]
    assert distance.tolist() == pytest.approx(by_hand(made.divergence, k), abs=1e-9)


def test_over_the_whole_vocabulary_it_is_the_total_variation_itself() -> None:
    answer = told(objective("dppo_topk", top_k=VOCABULARY + 20), now(sampled(LOGP_NEW), LOGP_NEW), batch())
    exact = 0.5 * (LOGP_NEW.exp() - LOGP_OLD.exp()).abs().sum(dim=-1)
    assert torch.allclose(answer.metrics_tok["divergence"], exact)
    assert torch.allclose(answer.metrics_tok["support_mass"], torch.ones(2, 3, dtype=torch.float64))


@pytest.mark.parametrize("names", [("dppo", "dppo_topk"), ("dppo_kl", "dppo_topk_kl")])
def test_with_one_token_it_is_the_binary_form(names: tuple[str, str]) -> None:
    present = now(sampled(LOGP_NEW), LOGP_NEW)
    binary, one = told(objective(names[0]), present, batch()), told(objective(names[1], top_k=1), present, batch())
    assert torch.allclose(one.metrics_tok["divergence"], binary.metrics_tok["divergence"])
    assert torch.equal(one.clipped_tok, binary.clipped_tok)
    assert torch.allclose(one.loss_tok, binary.loss_tok)


@pytest.mark.parametrize("kind", ["dppo_topk", "dppo_topk_kl"])
def test_more_tokens_never_lower_the_divergence(kind: str) -> None:
    """Merging outcomes loses information; the sampled token is among the first two here only in part."""
    present, last = now(sampled(LOGP_NEW), LOGP_NEW), None
    for k in (1, VOCABULARY):
        distance = told(objective(kind, top_k=k), present, batch()).metrics_tok["divergence"]
        assert last is None or (distance >= last - 1e-12).all()
        last = distance
    assert (last > 0.1).any()


def test_a_move_among_other_tokens_blocks_the_sampled_one() -> None:
    """Old .5 .3 .2, now .52 .46 .02, the first sampled with A = 1: TV 0.18 over all, and 0.02 of the first alone."""
    old, new = (torch.tensor(p).log().expand(2, 3, 3) for p in ([0.5, 0.3, 0.2], [0.52, 0.46, 0.02]))
    first = torch.zeros(2, 3, dtype=torch.long)
    given = golden_batch(
        ids=first,
        logp_vocab_old=old,
        logp_old_tok=old[..., 0],
        logp_rollout_tok=old[..., 0],
        advantage_tok=torch.ones(2, 3),
    )
    answers = [told(objective("dppo_topk", top_k=k), now(new[..., 0], new), given) for k in (1, 2)]
    assert [answer.metrics_tok["divergence"][0, 0].item() for answer in answers] == pytest.approx(
        [0.02, 0.18], abs=1e-6
    )
    assert [answer.clipped_tok[0, 0].item() for answer in answers] == [False, True]
    assert answers[1].loss_tok[0, 0].item() == 0


def test_neither_weight_nor_divergence_carries_a_gradient() -> None:
    leaf = LOGP_NEW.clone().requires_grad_(True)
    answer = told(objective("dppo_topk", delta_low=1.0, delta_high=1.0), now(sampled(leaf), leaf), batch())
    answer.loss_tok[MASK].sum().backward()
    ratio = (sampled(LOGP_NEW) - sampled(LOGP_OLD)).exp()
    expected = torch.zeros_like(LOGP_NEW).scatter(-1, IDS.unsqueeze(-1), (-ratio * ADVANTAGE).unsqueeze(-1))
    assert torch.allclose(leaf.grad, expected)


def test_the_cap_bounds_the_weight() -> None:
    old = torch.full((2, 3, 2), 0.5).log()
    new = torch.tensor([0.9, 0.1]).log().expand(2, 3, 2)
    first = torch.zeros(2, 3, dtype=torch.long)
    given = golden_batch(ids=first, logp_vocab_old=old, logp_old_tok=old[..., 0], logp_rollout_tok=old[..., 0])
    made = objective("dppo_topk", ratio_cap=1.3, delta_low=1.0, delta_high=1.0)
    leaf = new[..., 0].clone().requires_grad_(True)
    told(made, now(leaf, new), given).loss_tok[MASK].sum().backward()
    assert leaf.grad[0, 0].item() == pytest.approx(-1.3)
