import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from safelab.maths.trust import binary_divergence, blocked_tok, support_divergence, top_k_support

P, Q = torch.tensor([0.5, 0.3, 0.15, 0.05]), torch.tensor([0.4, 0.3, 0.2, 0.1])


def test_the_support_holds_the_likeliest_tokens_and_the_sampled_one() -> None:
    logp, ids = P.log().expand(3, 4), torch.tensor([0, 1, 3])
    assert top_k_support(logp, ids, 2).tolist() == [[0, 1], [0, 1], [0, 3]]
    assert top_k_support(logp, ids, 1).tolist() == [[0], [1], [3]]
    assert top_k_support(logp, ids, 9).tolist() == [[0, 1, 2, 3]] * 3


def test_worked_divergences_over_two_tokens_and_the_rest() -> None:
    """|.5 - .4| + |.3 - .3| + |.2 - .3| = .2, halved; and .5 log(.5 / .4) + .2 log(.2 / .3)."""
    support = torch.tensor([0, 1])
    assert support_divergence(Q.log(), P.log(), support, "tv").item() == pytest.approx(0.1, abs=1e-6)
    assert support_divergence(Q.log(), P.log(), support, "kl").item() == pytest.approx(0.030479, abs=1e-6)


def test_over_all_tokens_the_kl_is_another_librarys() -> None:
    found = support_divergence(Q.log(), P.log(), torch.arange(4), "kl").item()
    assert found == pytest.approx(stats.entropy(P, Q), abs=1e-6)


@given(st.integers(min_value=0, max_value=50), st.sampled_from(["tv", "kl"]))
def test_a_coarser_partition_never_has_more(seed: int, kind: str) -> None:
    noise = torch.Generator().manual_seed(seed)
    mu, pi = torch.randn(2, 5, 8, generator=noise, dtype=torch.float64).log_softmax(-1)
    ids = torch.randint(8, (5,), generator=noise)
    one = binary_divergence(*(x.gather(-1, ids.unsqueeze(-1)).squeeze(-1) for x in (pi, mu)), kind)
    some, every = (support_divergence(pi, mu, top_k_support(mu, ids, k), kind) for k in (3, 8))
    assert (one <= some + 1e-9).all()
    assert (some <= every + 1e-9).all()


@pytest.mark.parametrize("kind", ["tv", "kl"])
def test_equal_distributions_are_at_no_distance(kind: str) -> None:
    assert support_divergence(P.log(), P.log(), torch.tensor([0, 2]), kind).item() == pytest.approx(0, abs=1e-7)
    assert binary_divergence(P.log(), P.log(), kind).tolist() == [0.0] * 4


def test_only_moves_that_lead_away_are_blocked() -> None:
    advantage = torch.tensor([1.0, 1.0, -1.0, -1.0, 0.0, 1.0])
    log_pi = torch.tensor([0.6, 0.3, 0.3, 0.6, 0.6, 0.6]).log()
    distance = torch.tensor([0.2, 0.2, 0.2, 0.2, 0.2, 0.1])
    found = blocked_tok(advantage, log_pi, torch.full((6,), 0.45).log(), distance, 0.15, 0.15)
    assert found.tolist() == [True, False, True, False, False, False]
