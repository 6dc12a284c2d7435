"""Sampling draws from the softmax, a row's response is its own, and no way of decoding changes it."""

from bisect import bisect_right
from functools import partial
from itertools import accumulate

import pytest
import torch

from safelab.errors import Diverged
from safelab.maths.drawing import uniforms
from safelab.maths.seeds import row_seeds
from support.models import tiny_policy

TEXTS = ["a b c", "d", "e f"] * 8


def naive(policy, text: str, seed: int, length: int, temperature: float) -> list[int]:
    """A row by itself: no cache, no padding, and the token found by walking up Python's sum of the probabilities."""
    tokens, written = policy.encode([text], [0]).ids[0].tolist(), []
    for number in uniforms([seed], length)[0].tolist():
        with torch.no_grad():
            logits = policy.module(torch.tensor([tokens + written])).logits[0, -1].double() / temperature
        sums = list(accumulate(logits.softmax(-1).tolist()))
        written.append(bisect_right(sums, number * sums[-1]))
        if written[-1] == 1:
            break
    return written


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("length", [1, 12])
def test_it_draws_what_a_naive_loop_draws_row_by_row(temperature: float, length: int) -> None:
    policy = tiny_policy(temperature)
    seeds = row_seeds(3, rows=len(TEXTS))
    ids, mask = policy.generate(policy.encode(TEXTS, range(len(TEXTS))), length, seeds=seeds)
    found = [row[keep].tolist() for row, keep in zip(ids, mask, strict=True)]
    assert found == [naive(policy, text, seed, length, temperature) for text, seed in zip(TEXTS, seeds, strict=True)]
    assert length == 1 or any(row[-1] == 1 for row in found)


def test_a_response_depends_on_no_other_row_nor_on_the_longest_allowed() -> None:
    policy, seeds = tiny_policy(), row_seeds(0, rows=len(TEXTS))
    ids, mask = policy.generate(policy.encode(TEXTS, range(len(TEXTS))), 12, seeds=seeds)
    for rows, length in (([5], 12), ([20, 3, 11], 12), (list(range(24))[::-1], 12), ([7, 8], 4)):
        texts = [TEXTS[row] for row in rows]
        some, keep = policy.generate(policy.encode(texts, range(len(rows))), length, seeds=[seeds[row] for row in rows])
        for place, row in enumerate(rows):
            assert some[place][keep[place]].tolist() == ids[row][mask[row]].tolist()[:length]


def test_probabilities_that_are_not_finite_are_told() -> None:
    policy = tiny_policy()
    with torch.no_grad():
        next(policy.module.parameters()).fill_(torch.nan)
    with pytest.raises(Diverged, match="probabilities must be finite"):
        policy.generate(policy.encode(["a"], [0]), 3, seeds=[0])


def written(policy, decoding: str, texts=("a b c", "d", "e f"), seed: int = 5):
    prompts = policy.encode(list(texts), range(len(texts)))
    return policy.generate(prompts, 12, seeds=row_seeds(seed, rows=len(texts)), decoding=decoding)[0]


@pytest.mark.slow
@pytest.mark.parametrize("adapter", [{}, {"name": "lora", "rank": 4, "alpha": 8.0, "targets": None}])
def test_a_cache_of_fixed_size_draws_the_same(adapter) -> None:
    policy = tiny_policy(**adapter)
    # The second rollout finds the first one's keys; the third has another width, the last other rows.
    for texts in (["a b c", "d", "e f"] * 8, ["f", "e", "a a"] * 8, ["a b c d e"] * 24, ["d"] * 3):
        for seed in (0, 1):
            assert torch.equal(written(policy, "static", texts, seed), written(policy, "dynamic", texts, seed))


def test_a_fixed_cache_reads_the_weights_as_they_are_now() -> None:
    policy = tiny_policy()
    before = written(policy, "static", ["a b"] * 8)
    with torch.no_grad():
        for weight in policy.module.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    assert torch.equal(written(policy, "static", ["a b"] * 8), written(policy, "dynamic", ["a b"] * 8))
    assert not torch.equal(written(policy, "static", ["a b"] * 8), before)


@pytest.mark.slow
def test_a_compiled_step_draws_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    # Traced as for a GPU; the code generator, which takes a minute here, is torch's own affair.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    policy = tiny_policy()
    for texts in (["a b c", "d", "e f"], ["f", "e e", "a"]):
        assert torch.equal(written(policy, "compiled", texts), written(policy, "dynamic", texts))
