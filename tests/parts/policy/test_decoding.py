"""Sampling is that of ``generate`` with every processor off, token for token."""

from functools import partial

import pytest
import torch
from transformers import GenerationConfig

from safelab.parts.policy._decoding import Growing, sample
from support.models import tiny_policy


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("length", [1, 12])
def test_it_draws_what_generate_draws(temperature: float, length: int) -> None:
    policy = tiny_policy(temperature)
    prompts = policy.encode(["a b c", "d", "e f"] * 20, range(60))
    settings = GenerationConfig(
        do_sample=True, temperature=temperature, top_k=0, top_p=1.0, eos_token_id=1, pad_token_id=0,
        max_new_tokens=length,
    )  # fmt: skip
    torch.manual_seed(3)
    with torch.no_grad():
        expected = policy.model.module.generate(
            input_ids=prompts.ids, attention_mask=prompts.mask.long(), generation_config=settings
        )[:, prompts.ids.shape[1] :]
    torch.manual_seed(3)
    found = sample(
        Growing(policy.model.module), prompts.ids, prompts.mask,
        max_new_tokens=length, sampling_temperature=temperature, ends=(1,), pad=0,
    )  # fmt: skip
    assert torch.equal(found, expected)
    assert length == 1 or (found == 1).any()


def drawn(policy, decoding: str, texts=("a b c", "d", "e f"), seed: int = 5):
    torch.manual_seed(seed)
    return policy.generate(policy.encode(list(texts), range(len(texts))), 12, decoding=decoding)[0]


@pytest.mark.slow
@pytest.mark.parametrize("adapter", [{}, {"name": "lora", "rank": 4, "alpha": 8.0, "targets": None}])
def test_a_cache_of_fixed_size_draws_the_same(adapter) -> None:
    policy = tiny_policy(**adapter)
    # The second rollout finds the first one's keys; the third has another width, the last other rows.
    for texts in (["a b c", "d", "e f"] * 8, ["f", "e", "a a"] * 8, ["a b c d e"] * 24, ["d"] * 3):
        for seed in (0, 1):
            assert torch.equal(drawn(policy, "static", texts, seed), drawn(policy, "dynamic", texts, seed))


def test_a_fixed_cache_reads_the_weights_as_they_are_now() -> None:
    policy = tiny_policy()
    before = drawn(policy, "static", ["a b"] * 8)
    with torch.no_grad():
        for weight in policy.module.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    assert torch.equal(drawn(policy, "static", ["a b"] * 8), drawn(policy, "dynamic", ["a b"] * 8))
    assert not torch.equal(drawn(policy, "static", ["a b"] * 8), before)


@pytest.mark.slow
def test_a_compiled_step_draws_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    # Traced as for a GPU; the code generator, which takes a minute here, is torch's own affair.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    policy = tiny_policy()
    for texts in (["a b c", "d", "e f"], ["f", "e e", "a"]):
        assert torch.equal(drawn(policy, "compiled", texts), drawn(policy, "dynamic", texts))
