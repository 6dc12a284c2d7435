"""Positions are those that a model really reads: one token more ends in an error of its table."""

import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from safelab.errors import ConfigError
from safelab.pretrained.limits import beyond, check_reach, positions_of, trained_at
from support.architectures import OWN, SIZES

SMALL = {"vocab_size": 63, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64,
         "max_position_embeddings": 20, "pad_token_id": 1}  # fmt: skip


@pytest.mark.parametrize(
    ("model", "limit"),
    [
        (lambda: BertForSequenceClassification(BertConfig(**SMALL)), 20),
        (lambda: RobertaForSequenceClassification(RobertaConfig(**SMALL)), 18),  # counts on from the padding's number
    ],
)
def test_one_token_more_than_the_limit_fails(model, limit: int) -> None:
    made = model().eval()
    assert positions_of(made.config) == limit
    with torch.no_grad():
        made(input_ids=torch.full((1, limit), 5))
        with pytest.raises((IndexError, RuntimeError)):
            made(input_ids=torch.full((1, limit + 1), 5))


@pytest.mark.parametrize(
    ("name", "limit"), [("GPT2Config", 64), ("OPTConfig", 64), ("LlamaConfig", None), ("BloomConfig", None)]
)
def test_what_models_say(name: str, limit: int | None) -> None:
    import transformers

    assert positions_of(getattr(transformers, name)(**{**SIZES, **OWN[name]})) == limit


def test_the_message_names_what_fits() -> None:
    config = BertConfig(**SMALL)
    check_reach("reward.max_tokens", 20, "x", config)
    with pytest.raises(ConfigError, match=r"reward\.max_tokens must be at most the 20 positions of 'x', got 21; use"):
        check_reach("reward.max_tokens", 21, "x", config)


@pytest.mark.parametrize(
    ("changes", "limit"),
    [
        ({}, 64),
        # Qwen2.5's model card: 32,768 positions, a factor of 4 for 131,072.
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0}}, 256),
        # Llama 3.1's config.json says the stretched length, 8 times the original's.
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 8}}, 64),
    ],
)  # fmt: skip
def test_what_a_model_with_rotary_positions_was_made_for(changes: dict, limit: int) -> None:
    config = LlamaConfig(**{**SIZES, **OWN["LlamaConfig"], **changes})
    assert (trained_at(config), positions_of(config)) == (limit, None)
    assert trained_at(BertConfig(**SMALL)) is None


def long_rope(original: int) -> dict:
    factors = {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
    return {"rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": original, **factors}


DYNAMIC = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}


@pytest.mark.parametrize(("rope", "limit"), [(long_rope(16), 16), (DYNAMIC, 64)])
def test_where_a_rotation_grows_with_the_longest_row_the_original_length_is_the_limit(rope: dict, limit: int) -> None:
    torch.manual_seed(0)
    changes = {"rope_parameters": rope, "initializer_range": 0.3}  # of weights that let a token depend on others
    model = LlamaForCausalLM(LlamaConfig(**{**SIZES, **OWN["LlamaConfig"], **changes})).eval()
    assert positions_of(model.config) == limit
    row = torch.randint(5, 60, (1, 10))

    @torch.no_grad()
    def beside(length: int) -> torch.Tensor:
        both = torch.cat([torch.nn.functional.pad(row, (0, length - 10)), torch.randint(5, 60, (1, length))])
        return model(input_ids=both, use_cache=False).logits[0, :10]

    with torch.no_grad():
        alone = model(input_ids=row, use_cache=False).logits[0]
    assert torch.allclose(beside(limit), alone, atol=1e-4)
    assert (beside(2 * limit) - alone).abs().max() > 0.05


def test_a_rotation_that_grows_in_some_layers_is_a_limit_too() -> None:
    plain = {"rope_type": "default", "rope_theta": 1e4}
    rope = {"sliding_attention": plain, "full_attention": DYNAMIC}
    config = Gemma3TextConfig(rope_parameters=rope, max_position_embeddings=32)
    assert positions_of(config) == 32


def test_more_is_told_with_what_fits() -> None:
    assert beyond("max_tokens", 64, "x", 64, "use 64") is None
    assert beyond("max_tokens", 65, "x", None, "use 64") is None
    said = beyond("max_tokens", 65, "x", 64, "use 64")
    assert said == "max_tokens lets texts grow to 65 tokens, and x was made for 64: it reads worse beyond; use 64"
