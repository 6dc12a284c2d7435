"""How many tokens a model has positions for."""

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

    Rotary positions are computed, as many as there are tokens, and so are relative ones: such a model reads on beyond
    the length that it was trained at, if less well. That is no fault of a run, so it is left to its user.
    """
    if getattr(config, "position_biased_input", True) is False or any(getattr(config, name, None) for name in ROTARY):
        return None
    limit = next((found for name in NAMES if isinstance(found := getattr(config, name, None), int)), None)
    if limit is None or limit <= 0:
        return None
    if getattr(config, "model_type", None) in OFFSET:
        limit -= (config.pad_token_id or 0) + 1
    return limit


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
