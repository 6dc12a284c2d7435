"""LoRA checkpoints as a model to start from: merged into their base, which may be such a checkpoint again.

W' = W + (alpha / rank) B A      summed in float32 and rounded once to the precision that is asked for
"""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from safelab.errors import ConfigError
from safelab.pretrained.load import Source, check_precision, shape_of, told, weights_of
from safelab.pretrained.whole import check_numbers

FILE, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
DEPTH = 16
"""Adapters upon adapters that are followed; more is a circle."""


def base_of(source: Source) -> str | None:
    """What the adapter at ``source`` is an adapter of; None if whole weights lie there.

    Raises:
        ConfigError: an adapter that names no base, or of another kind than LoRA.
    """
    from peft import PeftConfig

    if not _is_adapter(source.path):
        return None
    with told(source):
        config = PeftConfig.from_pretrained(source.path)
    kind = str(getattr(config.peft_type, "value", config.peft_type))
    base = config.base_model_name_or_path
    if kind != "LORA" or not base:
        raise ConfigError(
            f"{source.key} must be whole weights or a LoRA adapter that names its base model, got {source.path!r}, an "
            f"adapter of kind {kind} of {base!r}: merge it into its base (merge_and_unload) and give that directory"
        )
    if Path(source.path).is_dir() and Path(base).resolve() == Path(source.path).resolve():
        raise source.refusal("its adapter names itself as its base")
    return str(base)


def refuse_adapter(source: Source) -> None:
    """Refuse an adapter where its base has no head of the wanted kind.

    Raises:
        ConfigError: an adapter lies there.
    """
    if _is_adapter(source.path):
        raise ConfigError(
            f"{source.key} must be whole weights, got {source.path!r}, an adapter: merge it into its base "
            "(PeftModel.from_pretrained(base, adapter).merge_and_unload()), save that, and give its directory"
        )


def merged(loader: Any, source: Source, *, dtype: torch.dtype, depth: int = DEPTH, **own: Any) -> Any:
    """The model at ``source``; an adapter is merged into its base.

    Raises:
        ConfigError: nothing that loads, of the adapter or of a base below it.
    """
    base = base_of(source)
    if base is None:
        check_precision(source, shape_of(source))
        return weights_of(loader, source, dtype=dtype, **own)[0]
    if depth == 0:
        raise source.refusal(f"more than {DEPTH} adapters lie upon one another")
    below = replace(source, path=base, remedy=f"it is the base of {source.path!r}: move that back, or {source.remedy}")
    model = merged(loader, below, dtype=torch.float32, depth=depth - 1, **own)
    with told(source):
        # peft froze the base; what comes of it is whole weights like any others.
        model = _with_adapter(model, source).merge_and_unload().to(dtype).requires_grad_(True)
    check_numbers(source.key, source.path, model)
    # The base of an adapter that is trained on this: what was merged, and not what that was merged into.
    model.name_or_path = model.config._name_or_path = source.path
    return model


def _with_adapter(model: Any, source: Source) -> Any:
    """``model`` with the adapter of ``source``, whose file must hold what its configuration says; never a pickle.

    Raises:
        ConfigError: a weight that is missing or left over.
    """
    from peft import PeftConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors.torch import load_file
    from transformers.utils import cached_file

    held = load_file(cached_file(source.path, WEIGHTS))
    with warnings.catch_warnings():
        # peft asks transformers by a name that has a newer one, and wants a config.json beside an adapter; nothing for
        # a user to do.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to False", UserWarning)
        warnings.filterwarnings("ignore", "Could not find a config file", UserWarning)
        adapted = get_peft_model(model, PeftConfig.from_pretrained(source.path))
        expected = set(get_peft_model_state_dict(adapted))
    if odd := sorted(expected ^ set(held)):
        raise source.refusal(f"its {FILE} and its {WEIGHTS} differ in {odd[0]}")
    set_peft_model_state_dict(adapted, held)
    return adapted


def _is_adapter(path: str) -> bool:
    from transformers.utils.peft_utils import find_adapter_config_file

    if Path(path).is_dir():
        return (Path(path) / FILE).is_file() and not (Path(path) / "config.json").is_file()
    try:
        return find_adapter_config_file(path) is not None
    except (OSError, ValueError):  # nothing there: whoever loads it says so
        return False
