"""Loading what ``safelab sft``, ``reward-model`` and ``value-model`` start from."""

from collections.abc import Sequence
from typing import Any

import torch

from safelab.corpus.dialogue import check_template
from safelab.corpus.readable import check_readable
from safelab.errors import ConfigError
from safelab.maths.streams import stream
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

    model, tokenizer, _ = _loaded(AutoModelForCausalLM, options, padding_side="left")
    if tokenizer.eos_token_id is None:
        raise ConfigError(f"model must have a tokenizer with an end token, got {options.model!r}; set eos_token in it")
    return Sft(model.to(device), tokenizer, options.max_tokens)


def load_reward_model(options: RewardModelOptions, device: torch.device) -> BradleyTerry:
    """A classifier with one output, on the model's own layers; a head that it lacks is drawn by the seed.

    Raises:
        ConfigError: nothing loadable there, more is missing than the head, or no chat template where one is asked for.
    """
    from transformers import AutoModelForSequenceClassification

    sides = {"padding_side": "right", "truncation_side": "left"}
    with stream(options.seed, "reward_model", "head"):
        model, tokenizer, missing = _loaded(AutoModelForSequenceClassification, options, num_labels=1, **sides)
        _only_the_head(model, missing, options.model)
        for name in missing:
            weight = model.get_parameter(name)
            # z starts with a deviation of about 1: from a head near zero small models learn next to nothing at first.
            torch.nn.init.normal_(weight, std=weight.shape[-1] ** -0.5) if weight.ndim > 1 else weight.data.zero_()
    check_template("template", options.template, tokenizer, options.model)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token_id is None:
        raise ConfigError(f"model must have a tokenizer with a padding or an end token, got {options.model!r}")
    model.config.pad_token_id = tokenizer.pad_token_id
    return BradleyTerry(model.to(device), tokenizer, options.max_tokens, options.template)


def load_value_model(options: SupervisedOptions, device: torch.device) -> TokenValue:
    """A token classifier with one output, on the model's own layers; a head that it lacks is one of zeros.

    Raises:
        ConfigError: nothing loadable there, more is missing than the head, or no end token.
    """
    from transformers import AutoModelForTokenClassification

    model, tokenizer, missing = _loaded(AutoModelForTokenClassification, options, padding_side="left", num_labels=1)
    _only_the_head(model, missing, options.model)
    for name in missing:
        model.get_parameter(name).data.zero_()
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout) and not name.startswith(f"{model.base_model_prefix}."):
            module.p = 0.0  # the head's own: the policy that it is a copy of has none, and micro-batches move no number
    if tokenizer.eos_token_id is None:
        raise ConfigError(f"model must have a tokenizer with an end token, got {options.model!r}; set eos_token in it")
    return TokenValue(model.to(device), tokenizer, options.max_tokens)


def _only_the_head(model: Any, missing: Sequence[str], path: str) -> None:
    """Refuse a checkpoint that lacks more than what stands above the layers."""
    heads = [name for name, _ in model.named_parameters() if not name.startswith(f"{model.base_model_prefix}.")]
    if lacking := sorted(set(missing) - set(heads)):
        raise ConfigError(f"model must have all weights but the head, got {path!r} without {lacking[0]}")


def _loaded(loader: Any, options: SupervisedOptions, **own: Any) -> tuple[Any, Any, list[str]]:
    """Model, tokenizer, and the names of weights that the checkpoint lacks."""
    from transformers import AutoTokenizer
    from transformers.utils import logging

    check_readable(options.model, "model")
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    sides = {key: own.pop(key) for key in ("padding_side", "truncation_side") if key in own}
    try:
        tokenizer = AutoTokenizer.from_pretrained(options.model, **sides)
        model, loading = loader.from_pretrained(
            options.model, dtype=getattr(torch, options.dtype), output_loading_info=True, use_safetensors=True, **own
        )
    except (OSError, ValueError, RuntimeError) as error:  # the last: weights of another shape
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"model must be a directory or hub name that loads, got {options.model!r}: {reason}"
        ) from error
    return model, tokenizer, sorted(loading["missing_keys"])
