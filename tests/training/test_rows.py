"""The metrics of a row, by hand."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from safelab.training.rows import (
    controller_metrics,
    critic_metrics,
    kl_ref_metrics,
    objective_metrics,
    response_metrics,
    reward_metrics,
    sample_records,
)
from safelab.training.stages import observe, score_tokens
from safelab.training.update import MinibatchTerms, UpdateStats
from support import toy

IDS = torch.tensor([[3, 3, 3, 1], [2, 2, 0, 0], [4, 4, 4, 4]])


def stats(**sums: float) -> UpdateStats:
    """Of two passes over ten tokens each."""
    made = UpdateStats()
    for _ in range(2):
        made.add(MinibatchTerms(tokens=10, ratio_max=1.0, sums={"ratio": 10.0, **sums}))
    return made


def test_responses_by_hand() -> None:
    # 4, 2 and 1 tokens. Neighbours: (3,3) (3,3) (3,1); (2,2); none. Padding's 4s are no repeats.
    rollout = toy.rollout(ids=IDS, responses=("c c c", "b b", "c c c"))
    assert response_metrics(rollout) == {
        "response/length_mean": pytest.approx(7 / 3),
        "response/eos_rate": pytest.approx(2 / 3),
        "response/distinct_rate": pytest.approx(2 / 3),
        "response/repeat_rate": pytest.approx(3 / 4),
    }


def test_responses_of_one_token_have_no_neighbours() -> None:
    assert response_metrics(toy.rollout([1, 1], ids=torch.zeros(2, 1, dtype=torch.long)))["response/repeat_rate"] == 0


def critic(heads: list[list[float]], returns: list[float]) -> dict[str, float]:
    """Metrics of a critic that gives one value a response, two heads each; the last response does not count."""
    parts = toy.parts()
    batch = replace(
        toy.batch(parts),
        heads_old=torch.tensor([*heads, [99.0, -99.0]]).unsqueeze(1),
        returns=torch.tensor([*returns, 99.0]).unsqueeze(1),
        value_mask=torch.tensor([[True], [True], [False]]),
    )
    return critic_metrics(parts, batch, stats(value=0.25, critic_grad_norm=3.0))


def test_the_critic_by_hand() -> None:
    # Values, the mean of both heads: 1 and 3; returns 2 and 6; errors -1 and -3.
    assert critic([[0.5, 1.5], [2.0, 4.0]], [2.0, 6.0]) == {
        "critic/loss": 0.25,
        "critic/grad_norm": 3.0,
        "critic/bias": -2.0,
        "critic/error_ratio": pytest.approx((1 + 9) / (4 + 36)),
        "critic/explained_variance": pytest.approx(1 - 2 / 8),  # var(1, 3) over var(2, 6), both unbiased
        "critic/head_gap": pytest.approx((1 + 2) / 2),
    }


def test_what_has_no_meaning_is_absent() -> None:
    equal = critic([[1.0, 1.0], [1.0, 1.0]], [2.0, 2.0])
    assert "critic/explained_variance" not in equal
    assert equal["critic/error_ratio"] == pytest.approx(1 / 4)
    assert "critic/error_ratio" not in critic([[1.0, 1.0], [1.0, 1.0]], [0.0, 0.0])


def scored(gold: torch.Tensor | None = None):
    return score_tokens(toy.parts(), toy.rollout(), torch.tensor([1.0, 2.0, 6.0]), gold)


def test_rewards_by_hand() -> None:
    assert reward_metrics(scored()) == {
        "reward/mean": 3.0, "reward/min": 1.0, "reward/max": 6.0,
        "reward/std": pytest.approx(((4 + 1 + 9) / 2) ** 0.5),
    }  # fmt: skip
    assert reward_metrics(scored(torch.tensor([0.0, 1.0, 5.0])))["reward/gold_mean"] == 2.0


def test_the_kl_to_the_reference_comes_from_the_signals_but_for_k3_and_fluency_is_a_mean_of_tokens() -> None:
    found = scored()
    signals = observe(found)
    gaps = [(found.logp_old_tok - found.logp_ref_tok)[row, column] for row, column, *_ in toy.tokens(found.rollout)]
    k3 = sum((torch.exp(-gap) - 1 + gap).item() for gap in gaps) / 7
    tokens = [found.logp_ref_tok[row, column].item() for row, column, *_ in toy.tokens(found.rollout)]
    fluency = sum(tokens) / len(tokens)
    assert kl_ref_metrics(found, signals) == {
        "kl/ref_token_exact": signals.kl_ref_token_exact,
        "kl/ref_token_k1": signals.kl_ref_token_k1,
        "kl/ref_seq_k1": signals.kl_ref_seq_k1,
        "kl/ref_token_k3": pytest.approx(k3, abs=1e-12),
        "response/reference_logp": pytest.approx(fluency, abs=1e-12),
    }


def test_an_objectives_own_metrics_are_means_over_tokens() -> None:
    assert objective_metrics(stats(**{"objective/weight": 5.0, "kl": 1.0})) == {"objective/weight": 0.5}


def test_the_plan_is_written_as_it_is() -> None:
    row = controller_metrics(toy.plan(0.4, threshold=0.1, gate=0.5, phase="WARMUP"), stats(), previewed=False)
    assert (row["controller/kl_slope"], row["controller/active"]) == (0.4, 1)
    assert (row["controller/threshold"], row["controller/gate"], row["controller/phase"]) == (0.1, 0.5, "WARMUP")
    assert "controller/preview_scale" not in row
    assert controller_metrics(toy.plan(), stats(), previewed=True)["controller/preview_scale"] == 1.0


@pytest.mark.parametrize(("update", "count"), [(0, 2), (1, 0), (2, 2), (3, 2), (4, 2)])
def test_samples_are_written_every_so_many_updates_and_at_the_end(update: int, count: int) -> None:
    samples = SimpleNamespace(every=2, count=2)
    parts = toy.parts(settings=SimpleNamespace(samples=samples, updates=4 if update < 4 else 5))
    records = sample_records(parts, scored(), update)
    assert len(records) == count
    if records:
        assert records[0] == {"prompt": "prompt 0", "response": "response 0", "reward": 1.0, "ended": False}
        assert sample_records(parts, scored(torch.tensor([7.0, 8.0, 9.0])), update)[1]["gold"] == 8.0
