"""Sampling is that of ``generate`` with every processor off, token for token."""

import pytest
import torch
from transformers import GenerationConfig

from safelab.policy._decoding import sample
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
        policy.model.module, prompts.ids, prompts.mask,
        max_new_tokens=length, sampling_temperature=temperature, end=1, pad=0,
    )  # fmt: skip
    assert torch.equal(found, expected)
    assert length == 1 or (found == 1).any()
