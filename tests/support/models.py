"""A random Llama of two thousand weights with a tokenizer of a dozen words: a policy that loads in milliseconds."""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from scripts.tools.tiny import WORDS as WORDS
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoTokenizer

from safelab.contracts import Context, Policy
from safelab.parts.policy.causal_lm import CausalLm
from scripts.tools import tiny
from support.folders import NO_CACHE, scratch


@cache
def model_directory(tied: bool = False) -> Path:
    """Weights and tokenizer on disk, made once per test session."""
    directory = scratch("model")
    tiny.write_model(directory, tied)
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


@cache
def classifier_directory(labels: int = 1) -> Path:
    """A reward model on the same words, with random scores of about 1; on disk, made once per test session."""
    directory = scratch(f"classifier-{labels}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(9)
        model = AutoModelForSequenceClassification.from_pretrained(model_directory(), num_labels=labels)
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
        packing="auto",
        gradient_checkpointing=gradient_checkpointing,
        sharding="none",
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
