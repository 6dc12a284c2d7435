"""Loading what ``safelab sft``, ``reward-model`` and ``value-model`` start from."""

from typing import Any

import torch

from safelab.corpus.dialogue import check_template
from safelab.errors import ConfigError
from safelab.maths.streams import stream
from safelab.pretrained.adapters import merged, refuse_adapter
from safelab.pretrained.limits import check_reach
from safelab.pretrained.load import Source, tokenizer_of, weights_of
from safelab.pretrained.whole import check_rows, check_text_only
from safelab.supervised.bradley_terry import BradleyTerry
from safelab.supervised.options import RewardModelOptions, SupervisedOptions
from safelab.supervised.sft import Sft
from safelab.supervised.token_value import TokenValue


def load_sft(options: SupervisedOptions, device: torch.device) -> Sft:
    """A causal model and its tokenizer.

    Raises:
        ConfigError: nothing loadable there, or no end token.
    """
    from transformers import AutoModelForCausalLM

    source = _source(options)
    tokenizer = tokenizer_of(source, padding_side="left")
    model = merged(AutoModelForCausalLM, source, dtype=getattr(torch, options.dtype))
    _checked(model, tokenizer, options)
    if tokenizer.eos_token_id is None:
        raise ConfigError(f"model must have a tokenizer with an end token, got {options.model!r}; set eos_token in it")
    return Sft(model.to(device), tokenizer, options.max_tokens)


def load_reward_model(options: RewardModelOptions, device: torch.device) -> BradleyTerry:
    """A classifier with one output, on the model's own layers; a head that it lacks is drawn by the seed.

    Raises:
        ConfigError: nothing loadable there, more is missing than the head, or no chat template where one is asked for.
    """
    from transformers import AutoModelForSequenceClassification

    source = _source(options)
    refuse_adapter(source)
    tokenizer = tokenizer_of(source, padding_side="right", truncation_side="left")
    dtype = getattr(torch, options.dtype)
    with stream(options.seed, "reward_model", "head"):
        model, missing = weights_of(
            AutoModelForSequenceClassification, source, dtype=dtype, head_may_lack=True, num_labels=1
        )
        for name in missing:
            weight = model.get_parameter(name)
            # z starts with a deviation of about 1: from a head near zero small models learn next to nothing at first.
            torch.nn.init.normal_(weight, std=weight.shape[-1] ** -0.5) if weight.ndim > 1 else weight.data.zero_()
    check_template("template", options.template, tokenizer, options.model)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token_id is None:
        raise ConfigError(f"model must have a tokenizer with a padding or an end token, got {options.model!r}")
    _checked(model, tokenizer, options)
    model.config.pad_token_id = tokenizer.pad_token_id
    return BradleyTerry(model.to(device), tokenizer, options.max_tokens, options.template)


def load_value_model(options: SupervisedOptions, device: torch.device) -> TokenValue:
    """A token classifier with one output, on the model's own layers; a head that it lacks is one of zeros.

    Raises:
        ConfigError: nothing loadable there, more is missing than the head, or no end token.
    """
    from transformers import AutoModelForTokenClassification

    source = _source(options)
    refuse_adapter(source)
    tokenizer = tokenizer_of(source, padding_side="left")
    dtype = getattr(torch, options.dtype)
    model, missing = weights_of(AutoModelForTokenClassification, source, dtype=dtype, head_may_lack=True, num_labels=1)
    _checked(model, tokenizer, options)
    for name in missing:
        model.get_parameter(name).data.zero_()
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout) and not name.startswith(f"{model.base_model_prefix}."):
            module.p = 0.0  # the head's own: the policy that it is a copy of has none, and micro-batches move no number
    if tokenizer.eos_token_id is None:
        raise ConfigError(f"model must have a tokenizer with an end token, got {options.model!r}; set eos_token in it")
    return TokenValue(model.to(device), tokenizer, options.max_tokens)


def _source(options: SupervisedOptions) -> Source:
    return Source("model", options.model, "that loads", "give config.json, model.safetensors and a tokenizer")


def _checked(model: Any, tokenizer: Any, options: SupervisedOptions) -> None:
    """What every model needs that is to be trained on the tokens of its tokenizer."""
    check_text_only("model", options.model, model)
    check_rows("model", options.model, model, tokenizer)
    check_reach("max_tokens", options.max_tokens, options.model, model.config)
