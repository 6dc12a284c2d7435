"""Positions are those that a model really reads: one token more ends in an error of its table."""

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, RobertaConfig, RobertaForSequenceClassification

from safelab.errors import ConfigError
from safelab.pretrained.limits import check_reach, positions_of
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
