"""Loading what ``safelab sft``, ``reward-model`` and ``value-model`` start from."""

from typing import Any

import torch

from safelab.corpus.dialogue import check_template
from safelab.errors import ConfigError
from safelab.maths.seeds import derive_seed
from safelab.maths.streams import stream
from safelab.pretrained.adapters import classifier, merged, with_tokenizer
from safelab.pretrained.ends import end_tokens
from safelab.pretrained.limits import check_reach
from safelab.pretrained.load import Source, tokenizer_of
from safelab.pretrained.lora import Task, with_lora
from safelab.pretrained.ragged.row_states import RowReader
from safelab.pretrained.ragged.ways import reader_of
from safelab.pretrained.recomputing import recomputed_layers
from safelab.pretrained.whole import check_rows, check_text_only
from safelab.supervised.bradley_terry import BradleyTerry
from safelab.supervised.options import RewardModelOptions, SupervisedOptions
from safelab.supervised.rows import Reading
from safelab.supervised.sft import Sft
from safelab.supervised.token_value import TokenValue


def load_sft(options: SupervisedOptions, device: torch.device) -> Sft:
    """A causal model and its tokenizer.

    Raises:
        ConfigError: nothing loadable there, or no end token, or no chat template where one is asked for.
    """
    from transformers import AutoModelForCausalLM

    source = _source(options)
    tokenizer = tokenizer_of(with_tokenizer(source), padding_side="left")
    model = merged(AutoModelForCausalLM, source, dtype=getattr(torch, options.dtype))
    _checked(model, tokenizer, options, source)
    reading = _reading(model, tokenizer, options)
    reader = _reader(model, tokenizer, options, device)
    return Sft(_learning(model, options, "CAUSAL_LM", device), reading, reader)


def load_reward_model(options: SupervisedOptions, device: torch.device) -> BradleyTerry:
    """A classifier with one output, on the model's own layers; a head that it lacks is drawn by the seed.

    Raises:
        ConfigError: nothing loadable there, more is missing than the head, or no chat template where one is asked for.
    """
    return _bradley_terry(_source(options), options, device, learns=True)


def load_judge(options: RewardModelOptions, device: torch.device) -> BradleyTerry:
    """The reward model that names the better answers, ``labels.path``; it does not learn.

    Raises:
        ConfigError: as ``load_reward_model``, or it lacks a head.
    """
    assert options.labels.path is not None
    source = Source("labels.path", options.labels.path, "of a reward model", "give one that safelab reward-model made")
    judge = _bradley_terry(source, options, device, learns=False)
    judge.model.eval()
    return judge


def _bradley_terry(source: Source, options: SupervisedOptions, device: torch.device, *, learns: bool) -> BradleyTerry:
    """A classifier with one output; ``learns``: it may lack a head, and takes the adapter that is asked for."""
    from transformers import AutoModelForSequenceClassification

    tokenizer = tokenizer_of(with_tokenizer(source), padding_side="right", truncation_side="left")
    dtype = getattr(torch, options.dtype)
    with stream(options.seed, "reward_model", "head"):
        model, missing = classifier(
            AutoModelForSequenceClassification, source, dtype=dtype, head_may_lack=learns, num_labels=1
        )
        for name in missing:
            weight = model.get_parameter(name)
            # z starts with a deviation of about 1: from a head near zero small models learn next to nothing at first.
            torch.nn.init.normal_(weight, std=weight.shape[-1] ** -0.5) if weight.ndim > 1 else weight.data.zero_()
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token_id is None:
        raise ConfigError(f"{source.key} must have a tokenizer with a padding or an end token, got {source.path!r}")
    _checked(model, tokenizer, options, source)
    model.config.pad_token_id = tokenizer.pad_token_id
    reader = _reader(model, tokenizer, options, device)
    learner = _learning(model, options, "SEQ_CLS", device) if learns else model
    return BradleyTerry(learner, tokenizer, options.max_tokens, options.template, reader)


def load_value_model(options: SupervisedOptions, device: torch.device) -> TokenValue:
    """A token classifier with one output, on the model's own layers; a head that it lacks is one of zeros.

    Raises:
        ConfigError: nothing loadable there, more is missing than the head, or no end token.
    """
    from transformers import AutoModelForTokenClassification

    source = _source(options)
    tokenizer = tokenizer_of(with_tokenizer(source), padding_side="left")
    dtype = getattr(torch, options.dtype)
    model, missing = classifier(AutoModelForTokenClassification, source, dtype=dtype, head_may_lack=True, num_labels=1)
    _checked(model, tokenizer, options, source)
    for name in missing:
        model.get_parameter(name).data.zero_()
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout) and not name.startswith(f"{model.base_model_prefix}."):
            module.p = 0.0  # the head's own: the policy that it is a copy of has none, and micro-batches move no number
    reading = _reading(model, tokenizer, options)
    reader = _reader(model, tokenizer, options, device)
    return TokenValue(_learning(model, options, "TOKEN_CLS", device), reading, reader)


def _source(options: SupervisedOptions) -> Source:
    return Source("model", options.model, "that loads", "give config.json, model.safetensors and a tokenizer")


def _checked(model: Any, tokenizer: Any, options: SupervisedOptions, source: Source) -> None:
    """What every model needs that is to read the tokens of its tokenizer."""
    check_text_only(source.key, source.path, model)
    check_rows(source.key, source.path, model, tokenizer)
    check_reach("max_tokens", options.max_tokens, source.path, model.config)
    check_template("template", options.template, tokenizer, source.path)


def _reading(model: Any, tokenizer: Any, options: SupervisedOptions) -> Reading:
    """How the lessons that learn from single tokens read pairs."""
    if tokenizer.eos_token_id is None:
        raise ConfigError(f"model must have a tokenizer with an end token, got {options.model!r}; set eos_token in it")
    return Reading(tokenizer, options.template, options.max_tokens, end_tokens(model, tokenizer))


def _reader(model: Any, tokenizer: Any, options: SupervisedOptions, device: torch.device) -> RowReader | None:
    """What reads the model without padding, before an adapter stands beside its layers."""
    return reader_of(model.to(device), tokenizer, learns=True) if options.packing == "auto" else None


def _learning(model: Any, options: SupervisedOptions, task: Task, device: torch.device) -> Any:
    """What trains of it, and how its layers are kept for the backward pass."""
    lora, learner = options.adapter, model
    if lora is not None:
        seed = derive_seed(options.seed, "lora")
        learner = with_lora(model, "adapter", task, rank=lora.rank, alpha=lora.alpha, targets=lora.targets, seed=seed)
    if options.gradient_checkpointing:
        recomputed_layers(model, "gradient_checkpointing")
    return learner.to(device)
