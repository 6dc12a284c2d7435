"""Which models are read right from their hidden states: those whose logits are head(hidden), small ones or not."""

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from safelab.pretrained.heads import head_is_plain

SIZES = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 64, "max_position_embeddings": 64,
    "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2,
}  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("kind", "changes", "plain"),
    [
        ("gemma2", {"final_logit_softcapping": 30.0}, False),
        ("gemma2", {"final_logit_softcapping": None}, True),
        ("cohere", {"logit_scale": 0.0625}, False),
        ("cohere", {"logit_scale": 1.0}, True),
        ("granite", {"logits_scaling": 4.0}, False),
        ("granite", {"logits_scaling": 1.0}, True),
        ("llama", {}, True),
        ("phi", {}, True),  # a head with a bias
        ("opt", {"ffn_dim": 64, "word_embed_proj_dim": 32}, True),
    ],
)
def test_caps_and_scales_show_on_fresh_weights(
    kind: str, changes: dict[str, Any], plain: bool, dtype: torch.dtype
) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **{**SIZES, **changes})).to(dtype).eval()
    ids = torch.tensor([[0, 1, 2]])
    before = model(input_ids=ids).logits
    assert before.abs().max() < 3, "small enough for a cap of 30 to be nearly the identity"
    assert head_is_plain(model, torch.device("cpu")) is plain
    assert torch.equal(model(input_ids=ids).logits, before), "nothing of the probe stays"
