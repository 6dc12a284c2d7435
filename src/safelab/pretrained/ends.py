"""Which tokens end a response."""

from typing import Any


def end_tokens(module: Any, tokenizer: Any) -> tuple[int, ...]:
    """Every token that ends a response: the tokenizer's first, then what the checkpoint's generation settings name."""
    settings = getattr(module, "generation_config", None)
    named = getattr(settings, "eos_token_id", None)
    named = named if isinstance(named, list) else [] if named is None else [named]
    rows = int(module.get_input_embeddings().weight.shape[0])
    return tuple(dict.fromkeys([tokenizer.eos_token_id, *(int(token) for token in named if 0 <= int(token) < rows)]))
