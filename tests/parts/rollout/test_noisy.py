"""The noisy engine against a row by itself: no batch, no padding, float64, the token found by walking up a sum."""

from bisect import bisect_right
from itertools import accumulate
from pathlib import Path

import pytest
import torch

from safelab.errors import ConfigError, RunFailed
from safelab.maths.drawing import uniforms
from safelab.maths.seeds import generator, row_seeds
from safelab.training import start
from safelab.training.loop import train_update
from safelab.training.state import initial_state
from support.models import tiny_policy
from support.objectives import component
from support.runs import numbers, parts_of, small, trained

TEXTS = ["a b c", "d", "e f", "f e d c b a"]
LENGTH = 6


def sampler(noise_std: float, **changes):
    return component("rollout", "noisy", max_new_tokens=LENGTH, noise_std=noise_std, **changes)


def naive(policy, text: str, seed: int, noise_std: float) -> tuple[list[int], list[float]]:
    """Tokens and log-probabilities of one response."""
    prompt, noise = policy.encode([text], [0]).ids[0].tolist(), generator(seed, "noise")
    tokens, logp = [], []
    for number in uniforms([seed], LENGTH)[0].tolist():
        with torch.no_grad():
            logits = policy.module(torch.tensor([prompt + tokens])).logits[0, -1].double()
        q = (logits.log_softmax(-1) + noise_std * torch.randn(len(logits), generator=noise).double()).softmax(-1)
        sums = list(accumulate(q.tolist()))
        tokens.append(bisect_right(sums, number * sums[-1]))
        logp.append(float(q[tokens[-1]].log()))
        if tokens[-1] in policy.ends:
            break
    return tokens, logp


@pytest.mark.parametrize("noise_std", [0.0, 0.3, 2.0])
def test_tokens_and_log_probabilities_are_those_of_the_noisy_softmax(noise_std: float) -> None:
    policy, seeds = tiny_policy(), row_seeds(3, "rollout", 0, rows=len(TEXTS))
    rollout = sampler(noise_std).sample(policy, policy.encode(TEXTS, range(len(TEXTS))), seeds)
    assert rollout.logp_rollout_tok is not None
    for row, (text, seed) in enumerate(zip(TEXTS, seeds, strict=True)):
        tokens, logp = naive(policy, text, seed, noise_std)
        keep = rollout.mask[row]
        assert rollout.ids[row][keep].tolist() == tokens
        # The model itself computes in float32.
        assert rollout.logp_rollout_tok[row][keep].tolist() == pytest.approx(logp, abs=2e-6)
        assert keep.tolist() == [place < len(tokens) for place in range(len(keep))]
    assert rollout.mask.any(dim=0).all(), "as wide as the longest response"
    assert not rollout.logp_rollout_tok[~rollout.mask].any()
    assert (rollout.ids[~rollout.mask] == policy.pad).all()


def test_frequencies_are_the_noisy_probabilities() -> None:
    """Of the first token after a prompt, each row with its own noise: counts within 4.5 deviations of their means."""
    policy, seeds = tiny_policy(), row_seeds(0, "rollout", 0, rows=4000)
    made = component("rollout", "noisy", max_new_tokens=1, noise_std=2.0)
    rollout = made.sample(policy, policy.encode(["a b"] * len(seeds), [0] * len(seeds)), seeds)
    with torch.no_grad():
        logits = policy.module(policy.encode(["a b"], [0]).ids).logits[0, -1].double()
    noise = torch.stack([torch.randn(len(logits), generator=generator(seed, "noise")).double() for seed in seeds])
    q = (logits + 2.0 * noise).softmax(-1)
    expected, deviation = q.sum(dim=0), (q * (1 - q)).sum(dim=0).sqrt()
    seen = torch.bincount(rollout.ids[:, 0], minlength=len(logits))
    assert ((seen - expected).abs() < 4.5 * deviation).all()
    # It is not the policy's own distribution, which the noise makes flatter.
    plain = logits.softmax(-1)
    assert ((seen - len(seeds) * plain).abs() > 4.5 * (len(seeds) * plain * (1 - plain)).sqrt()).any()


def test_without_noise_it_writes_what_the_policy_writes() -> None:
    policy, seeds = tiny_policy(), row_seeds(5, "rollout", 1, rows=len(TEXTS))
    prompts = policy.encode(TEXTS, range(len(TEXTS)))
    ours, theirs = (
        made.sample(policy, prompts, seeds)
        for made in (sampler(0.0), component("rollout", "hf", max_new_tokens=LENGTH))
    )
    assert ours.responses == theirs.responses
    assert torch.equal(ours.ids, theirs.ids)
    assert torch.equal(ours.mask, theirs.mask)
    assert torch.equal(ours.ended_seq, theirs.ended_seq)


def test_a_row_does_not_depend_on_the_rows_beside_it() -> None:
    policy, seeds = tiny_policy(), row_seeds(3, "rollout", 0, rows=len(TEXTS))
    whole = sampler(1.0).sample(policy, policy.encode(TEXTS, range(len(TEXTS))), seeds)
    for row in range(len(TEXTS)):
        alone = sampler(1.0).sample(policy, policy.encode(TEXTS[row : row + 1], [0]), seeds[row : row + 1])
        assert alone.responses[0] == whole.responses[row]
        keep = whole.mask[row]
        assert torch.allclose(alone.logp_rollout_tok[0], whole.logp_rollout_tok[row][keep], atol=1e-6)


def test_greedy_responses_are_the_policys_own() -> None:
    policy = tiny_policy()
    prompts = policy.encode(TEXTS, range(len(TEXTS)))
    plain = component("rollout", "hf", max_new_tokens=LENGTH).greedy(policy, prompts)
    assert sampler(2.0).greedy(policy, prompts).responses == plain.responses


@pytest.mark.parametrize("noise_std", [0.1, 0.3, 1.0, 2.0])
def test_how_far_apart_it_says_it_is_bounds_how_far_it_is(noise_std: float) -> None:
    """Over a flat distribution of many tokens, where the bound is nearest."""
    noise = noise_std * torch.randn(400, 2000, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    logq = noise.log_softmax(-1)
    apart = float((logq.exp() * (logq + torch.tensor(2000.0).double().log()).abs()).sum(dim=-1).mean())
    assert 0.5 * sampler(noise_std).apart < apart < sampler(noise_std).apart


@pytest.mark.parametrize("packing", ["none", "auto"])
def test_a_run_with_noise_starts_and_says_how_far_its_sampler_is(packing: str, tmp_path: Path) -> None:
    config = small(tmp_path, "algorithm=dapo", "rollout=noisy", "rollout.noise_std=1.0", f"policy.packing={packing}")
    rows = trained(config)[2]
    assert 0.2 < rows[0]["kl/rollout_token_abs"] < 1.5
    assert rows[0]["kl/rollout_token_k1"] > 0.1, "the sampler finds its own tokens likelier than the policy does"
    assert numbers(rows) == numbers(trained(config)[2])


def test_a_sampler_that_is_further_apart_than_it_says_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = parts_of(small(tmp_path, "algorithm=dapo", "rollout=noisy", "rollout.noise_std=0.1"))
    alone = start.score_alone
    monkeypatch.setattr(start, "score_alone", lambda *given: alone(*given) - 0.5)
    monkeypatch.setattr(start, "START_TOLERANCE", 1.0)  # the pass that scores is far off too, by this test's doing
    with pytest.raises(RunFailed, match=r"log-probabilities sampled and scored alone \(within 0\.205"):
        train_update(parts, initial_state(parts))


def test_noise_below_0_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"rollout\.noise_std must be >= 0, got -1\.0"):
        sampler(-1.0)
