"""What a loaded model must have: every weight of its checkpoint and none at random, finite numbers, all tokens."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from safelab.errors import ConfigError

BUFFERS = ("inv_freq", "masked_bias", "attn.bias", "attention.bias", "position_ids", "num_batches_tracked")
"""Ends of names that old checkpoints hold and that no weight is lost with: tables that the model computes itself."""


def check_whole(
    key: str, path: str, remedy: str, model: Any, info: Mapping[str, Any], head_may_lack: bool
) -> list[str]:
    """The names of the head's weights that the checkpoint lacks; refuses whatever else does not fit.

    Args:
        key: of the configuration, for messages; so are ``path`` and ``remedy``.
        path: where the checkpoint lies.
        remedy: what to do about missing weights.
        model: as loaded.
        info: ``output_loading_info`` of ``from_pretrained``.
        head_may_lack: whether what stands above the layers may be missing.

    Raises:
        ConfigError: weights that are missing, of another size, or left over in the layers.
    """
    body = f"{model.base_model_prefix}."
    if wrong := sorted(info["mismatched_keys"]):
        name, there, here = wrong[0]
        raise ConfigError(
            f"{key} must have weights of the sizes that its config.json says, got {path!r} with {name} of "
            f"{list(there)} where {list(here)} is said{more(wrong)}: give the config.json that belongs to the weights"
        )
    if errors := info.get("error_msgs"):
        raise ConfigError(f"{key} must have weights that can be read, got {path!r}: {str(errors[0]).splitlines()[0]}")
    missing = sorted(info["missing_keys"])
    if lacking := [name for name in missing if not head_may_lack or name.startswith(body)]:
        but = " but the head" if head_may_lack else ""
        raise ConfigError(
            f"{key} must have all weights{but}, got {path!r}, which lacks {', '.join(lacking[:3])}{more(lacking, 3)}: "
            f"they would be random; {remedy}"
        )
    skipped = [name for name in sorted(info["unexpected_keys"]) if name.startswith(body) and not name.endswith(BUFFERS)]
    if skipped:
        raise ConfigError(
            f"{key} must have weights that its config.json has a place for, got {path!r} with {', '.join(skipped[:3])}"
            f"{more(skipped, 3)}, which would be skipped: give the config.json that belongs to the weights"
        )
    return missing


def more(names: Iterable[Any], shown: int = 1) -> str:
    """How many are not shown."""
    rest = len(list(names)) - shown
    return f" and {rest} more" if rest > 0 else ""


@torch.no_grad()
def check_numbers(key: str, path: str, model: Any, skip: Iterable[str] = ()) -> None:
    """Refuse NaN and infinity among the weights; one reading of each, without a copy.

    Raises:
        ConfigError: the first weight that is not finite.
    """
    own = {name: weight for name, weight in model.named_parameters() if name not in set(skip)}
    for name, weight in own.items():
        if weight.is_floating_point() and weight.numel() and not weight.is_meta:
            low, high = torch.aminmax(weight)  # NaN passes through both
            if not bool(torch.isfinite(low) & torch.isfinite(high)):
                raise ConfigError(
                    f"{key} must have finite weights, got {path!r} with NaN or infinity in {name}: "
                    "the checkpoint is damaged, or its training had diverged; give an earlier one"
                )


def check_rows(key: str, path: str, model: Any, tokenizer: Any) -> None:
    """Refuse a tokenizer without words, or with tokens that the embedding has no row for.

    Raises:
        ConfigError: there are no words; or the first such token.
    """
    rows = int(model.get_input_embeddings().weight.shape[0])
    vocabulary = tokenizer.get_vocab()
    if len(words := vocabulary.keys() - set(tokenizer.all_special_tokens)) < 2:
        raise ConfigError(
            f"{key} must have a tokenizer with words, got {path!r} with {len(words)} besides the special tokens: "
            "its tokenizer.json (or vocab file) is missing or empty; put it back"
        )
    if outside := sorted((number, token) for token, number in vocabulary.items() if number >= rows):
        number, token = outside[0]
        raise ConfigError(
            f"{key} must have a row of the embedding for every token, got {path!r} with {rows} rows and the token "
            f"{token!r} numbered {number}{more(outside)}: let the tokenizer use a token that the model knows (as "
            "pad_token its end token), or give the model more rows (resize_token_embeddings) and train them first"
        )


def check_text_only(key: str, path: str, model: Any) -> None:
    """Refuse a language model that lies inside one of images or sound.

    Raises:
        ConfigError: its text model is only a part of it.
    """
    config = model.config
    if config.get_text_config(decoder=True) is not config:
        raise ConfigError(
            f"{key} must be a model of text alone, got {path!r}, a {type(model).__name__} whose language model is one "
            "part of several: save its language model by itself, with its tokenizer, and give that directory"
        )
