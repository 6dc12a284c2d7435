"""How many tokens a model has positions for."""

from collections.abc import Mapping
from typing import Any

from safelab.errors import ConfigError

NAMES = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len")
"""Of the limit, in the configurations of ``transformers``."""

ROTARY = ("rope_parameters", "rope_scaling", "rope_theta")
"""Of what a configuration with rotary positions has."""

OFFSET = {
    "roberta",
    "xlm-roberta",
    "xlm-roberta-xl",
    "camembert",
    "roberta-prelayernorm",
    "longformer",
    "mpnet",
    "xmod",
}
"""Kinds of model that count from behind the padding token's number, and lose as many positions."""


def positions_of(config: Any) -> int | None:
    """The longest sequence, in tokens, of a model that looks its positions up in a table; else None.

    Rotary positions are computed, as many as there are tokens, and so are relative ones: see ``trained_at``. But some
    kinds of rotation change for every row of a pass as soon as one is longer than an original length: beyond it a row's
    probabilities would depend on its neighbours, and those of a rollout, which grows, would not be those of training.
    There that length is the limit.
    """
    if getattr(config, "position_biased_input", True) is False:
        return None
    if is_rotary(config):
        limits = [length for rotation in _rotations(config) if (length := _before_growth(config, rotation))]
        return min(limits, default=None)
    limit = _limit(config)
    if limit is not None and getattr(config, "model_type", None) in OFFSET:
        limit -= (config.pad_token_id or 0) + 1
    return limit


def trained_at(config: Any) -> int | None:
    """The longest sequence, in tokens, that a model with rotary positions says it was made for; None of another one.

    It reads on beyond that, if less well, so more is no fault, and told. Where its rotation is stretched (YaRN and its
    kind), the stretched length counts.
    """
    limit = _limit(config) if is_rotary(config) else None
    scaling = _scaling(config)
    factor, original = scaling.get("factor"), scaling.get("original_max_position_embeddings")
    if limit is not None and isinstance(factor, (int, float)):
        limit = max(limit, int(factor * (original if isinstance(original, int) else limit)))
    return limit


def beyond(keys: str, asked: int, path: str, limit: int | None, remedy: str) -> str | None:
    """A note that texts may be longer than what a model with rotary positions was made for; None if they cannot be.

    Args:
        keys: of the configuration whose numbers add up to ``asked``.
        asked: tokens.
        path: of the model.
        limit: see ``trained_at``.
        remedy: what to set.
    """
    if limit is None or asked <= limit:
        return None
    return f"{keys} lets texts grow to {asked} tokens, and {path} was made for {limit}: it reads worse beyond; {remedy}"


def is_rotary(config: Any) -> bool:
    """Whether positions are rotations."""
    return any(getattr(config, name, None) for name in ROTARY)


def _scaling(config: Any) -> Mapping[str, Any]:
    """What a configuration says of its rotation; some say it for each kind of layer."""
    return getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}


def _rotations(config: Any) -> list[Mapping[str, Any]]:
    scaling = _scaling(config)
    return [scaling, *(kind for kind in scaling.values() if isinstance(kind, Mapping))]


def _before_growth(config: Any, rotation: Mapping[str, Any]) -> int | None:
    """The length up to which a rotation is the same for all rows; None if it always is."""
    kind = rotation.get("rope_type", rotation.get("type"))
    if kind == "longrope":
        original: int | None = rotation.get("original_max_position_embeddings") or getattr(
            config, "original_max_position_embeddings", None
        )
        return original or _limit(config)
    return _limit(config) if kind == "dynamic" else None


def _limit(config: Any) -> int | None:
    limit = next((found for name in NAMES if isinstance(found := getattr(config, name, None), int)), None)
    return limit if limit is not None and limit > 0 else None


def check_reach(key: str, asked: int, path: str, config: Any) -> None:
    """Refuse a key that lets texts grow beyond the model's positions.

    Raises:
        ConfigError: with the number that fits.
    """
    limit = positions_of(config)
    if limit is not None and asked > limit:
        raise ConfigError(
            f"{key} must be at most the {limit} positions of {path!r}, got {asked}; use {key}={limit} or less"
            + (", and leave room for the responses" if key == "policy.max_prompt_tokens" else "")
        )
