"""LoRA checkpoints as a model to start from: merged into their base, which may be such a checkpoint again.

W' = W + (alpha / rank) B A      summed in float32 and rounded once to the precision that is asked for

A classifier's adapter holds its head as well (``modules_to_save`` of ``peft``), which takes the place of the base's.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from safelab.errors import ConfigError
from safelab.pretrained.load import Source, check_precision, located, shape_of, told, weights_of
from safelab.pretrained.lora import HEADS, quiet
from safelab.pretrained.whole import check_numbers

FILE, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
DEPTH = 16
"""Adapters upon adapters that are followed; more is a circle."""


def base_of(source: Source) -> str | None:
    """What the adapter at ``source`` is an adapter of; None if whole weights lie there.

    Raises:
        ConfigError: an adapter that names no base, or of another kind than LoRA.
    """
    if not _is_adapter(source.path):
        return None
    from transformers.utils import cached_file

    with told(source):
        # Read as it is: peft would warn of what it does not know before it can be refused.
        said = json.loads(Path(cached_file(source.path, FILE)).read_text(encoding="utf-8"))
        kind, base = said.get("peft_type"), said.get("base_model_name_or_path")
    if kind != "LORA" or not base:
        raise ConfigError(
            f"{source.key} must be whole weights or a LoRA adapter that names its base model, got {source.path!r}, an "
            f"adapter of kind {kind} of {base!r}: merge it into its base (merge_and_unload) and give that directory"
        )
    if Path(source.path).is_dir() and Path(base).resolve() == Path(source.path).resolve():
        raise source.refusal("its adapter names itself as its base")
    return str(base)


def refuse_adapter(source: Source) -> None:
    """Refuse an adapter where none can be read.

    Raises:
        ConfigError: an adapter lies there.
    """
    if _is_adapter(source.path):
        raise ConfigError(
            f"{source.key} must be whole weights, got {source.path!r}, an adapter: merge it into its base "
            "(PeftModel.from_pretrained(base, adapter).merge_and_unload()), save that, and give its directory"
        )


def with_tokenizer(source: Source) -> Source:
    """``source``, or of an adapter without a tokenizer the base below it that has one.

    Raises:
        ConfigError: see ``base_of``.
    """
    for _ in range(DEPTH):
        folder = Path(source.path)
        if not folder.is_dir() or any(folder.glob("*token*")) or (base := base_of(source)) is None:
            break
        source = replace(source, path=base)
    return source


def merged(loader: Any, source: Source, *, dtype: torch.dtype, **own: Any) -> Any:
    """The model at ``source``; an adapter is merged into its base.

    Raises:
        ConfigError: nothing that loads, of the adapter or of a base below it.
    """
    return _merged(loader, source, dtype, DEPTH, False, own)[0]


def classifier(
    loader: Any, source: Source, *, dtype: torch.dtype, head_may_lack: bool = False, **own: Any
) -> tuple[Any, list[str]]:
    """The same of a classifier, and the names of the weights of its head that neither adapter nor base has.

    Args:
        loader: a class of ``transformers`` with ``from_pretrained``.
        source: where from; the base of an adapter that holds the head may be a language model.
        dtype: of the weights.
        head_may_lack: whether the head may be missing, because it is about to be trained.
        own: further arguments of ``from_pretrained``.

    Raises:
        ConfigError: nothing that loads, or no head where one is needed.
    """
    if base_of(source) is None:
        return weights_of(loader, source, dtype=dtype, head_may_lack=head_may_lack, **own)
    model, missing = _merged(loader, source, dtype, DEPTH, True, own)
    if missing and not head_may_lack:
        raise source.refusal(f"neither it nor its base has {missing[0]}, which would be random")
    return model, missing


def _merged(
    loader: Any, source: Source, dtype: torch.dtype, depth: int, head_may_lack: bool, own: Mapping[str, Any]
) -> tuple[Any, list[str]]:
    """The model, and what of its head is missing."""
    base = base_of(source)
    if base is None:
        check_precision(source, shape_of(source))
        return weights_of(loader, source, dtype=dtype, head_may_lack=head_may_lack, **own)
    if depth == 0:
        raise source.refusal(f"more than {DEPTH} adapters lie upon one another")
    held = _held(source)
    head = head_of(held)
    if head and not head_may_lack:
        raise source.refusal("its adapter is a classifier's")
    if head:
        own = {"num_labels": len(held[head[-1]]), **own}
    below = replace(source, path=base, remedy=f"it is the base of {source.path!r}: move that back, or {source.remedy}")
    model, missing = _merged(loader, below, torch.float32, depth - 1, head_may_lack, own)
    with told(source):
        # peft froze the base; what comes of it is whole weights like any others.
        model = _with_adapter(model, source, held).merge_and_unload().to(dtype).requires_grad_(True)
    check_numbers(source.key, source.path, model, skip=() if head else missing)
    # The base of an adapter that is trained on this: what was merged, and not what that was merged into.
    model.name_or_path = model.config._name_or_path = located(source.path)
    return model, [] if head else missing


def head_of(names: Iterable[str]) -> list[str]:
    """Of the names of an adapter's weights those of a classifier's head, the last layer's weight last."""
    inside = [name for name in names if not {*HEADS}.isdisjoint(name.split(".")) and "lora_" not in name]
    return sorted(inside, key=lambda name: (name.endswith(".weight"), name))


def _held(source: Source) -> dict[str, Tensor]:
    """The adapter's weights; never a pickle.

    Raises:
        ConfigError: they cannot be read.
    """
    from safetensors.torch import load_file
    from transformers.utils import cached_file

    with told(source):
        return load_file(cached_file(source.path, WEIGHTS))


def _with_adapter(model: Any, source: Source, held: Mapping[str, Tensor]) -> Any:
    """``model`` with the adapter of ``source``, whose file must hold what its configuration says.

    Raises:
        ConfigError: a weight that is missing or left over.
    """
    from peft import PeftConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

    with quiet():
        config = PeftConfig.from_pretrained(source.path)
        if not head_of(held):
            # peft would ask a classifier for what only a language model has, or train its head.
            config.task_type = None
        adapted = get_peft_model(model, config)
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
