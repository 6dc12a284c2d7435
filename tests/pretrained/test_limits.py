"""Positions are those that a model really reads: one token more ends in an error of its table."""

import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
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


def test_more_is_told_with_what_fits() -> None:
    assert beyond("max_tokens", 64, "x", 64, "use 64") is None
    assert beyond("max_tokens", 65, "x", None, "use 64") is None
    said = beyond("max_tokens", 65, "x", 64, "use 64")
    assert said == "max_tokens lets texts grow to 65 tokens, and x was made for 64: it reads worse beyond; use 64"
