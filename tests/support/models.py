"""A random Llama of two thousand weights with a tokenizer of a dozen words: a policy that loads in milliseconds."""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from safelab.contracts import Context, Policy
from safelab.parts.policy.causal_lm import CausalLm
from support.folders import NO_CACHE, scratch

WORDS = ("<pad>", "<end>", "<unk>", "a", "b", "c", "d", "e", "f", "good", "bad", "token")


@cache
def model_directory(tied: bool = False) -> Path:
    """Weights and tokenizer on disk, made once per test session."""
    directory = scratch("model")
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=tied,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = LlamaForCausalLM(config)
        for weight in model.parameters():
            # The default initialisation is so small that every distribution would be uniform.
            weight.data.mul_(6.0 if weight.ndim > 1 else 1.0)
    # A checkpoint's own sampling defaults, which training must not follow.
    model.generation_config.do_sample, model.generation_config.top_k = True, 3
    model.save_pretrained(directory)
    words = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="<end>", unk_token="<unk>", padding_side="left"
    ).save_pretrained(directory)
    return directory


@cache
def value_model_directory() -> Path:
    """A value model on the same words, with random values of about 1; on disk, made once per test session."""
    directory = scratch("value-model")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(8)
        model = AutoModelForTokenClassification.from_pretrained(model_directory(), num_labels=1)
        torch.nn.init.normal_(model.score.weight)
    model.save_pretrained(directory)
    AutoTokenizer.from_pretrained(model_directory()).save_pretrained(directory)
    return directory


def tiny_policy(
    sampling_temperature: float = 1.0,
    tied: bool = False,
    gradient_checkpointing: bool = False,
    compiled: bool = False,
    **adapter: Any,
) -> Any:
    """A fresh policy with these weights; ``adapter``: its option and numbers, none if nothing is said."""
    option = CausalLm(
        name="causal_lm",
        path=str(model_directory(tied)),
        dtype="float32",
        attention="sdpa",
        gradient_checkpointing=gradient_checkpointing,
        compile=compiled,
        prompt_template="plain",
        max_prompt_tokens=16,
        sampling_temperature=sampling_temperature,
        adapter=adapter or {"name": "none", "reference_dtype": None},
    )
    return option.build(context())


def context(policy: Policy | None = None, seed: int = 0) -> Context:
    """A context on the CPU."""
    return Context(seed=seed, device=torch.device("cpu"), cache=NO_CACHE, policy=policy)
