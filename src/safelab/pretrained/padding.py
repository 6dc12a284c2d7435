"""Whether a classifier scores a text in a batch as it scores it alone."""

from typing import Any

import torch

from safelab.errors import ConfigError
from safelab.pretrained.load import FAULTS, reason_of
from safelab.pretrained.ordinary import ordinary_tokens

LONG, SHORT = 9, 3
"""Tokens of the two texts of the batch."""

TOLERATED = {torch.float32: 1e-3, torch.float16: 0.1, torch.bfloat16: 0.25}
"""Difference of scores, over how far apart the scores of the two texts are or over their size, whichever is more."""


@torch.no_grad()
def check_padding(key: str, path: str, model: Any, tokenizer: Any) -> None:
    """Refuse a model whose score of a text changes with the padding behind it; three short passes.

    Raises:
        ConfigError: it changes, is no number, or cannot be had.
    """
    texts = ordinary_tokens(tokenizer, LONG + SHORT)
    ids = torch.full((2, LONG), tokenizer.pad_token_id)
    ids[0], ids[1, :SHORT] = torch.tensor(texts[:LONG]), torch.tensor(texts[LONG:])
    mask = torch.ones_like(ids)
    mask[1, SHORT:] = 0
    ids, mask = ids.to(model.device), mask.to(model.device)
    try:
        together = model(input_ids=ids, attention_mask=mask).logits.float()
        rows = ids[:1], ids[1:, :SHORT]
        alone = torch.cat([model(input_ids=row, attention_mask=torch.ones_like(row)).logits for row in rows]).float()
    except torch.OutOfMemoryError:
        raise
    except FAULTS as error:
        raise ConfigError(
            f"{key} must be a model that reads a padded batch of tokens, got {path!r}, a {type(model).__name__}, which "
            f"fails at it: {reason_of(error)}; give a model of another architecture"
        ) from error
    if not bool(alone.isfinite().all()):
        raise ConfigError(f"{key} must give finite scores, got {path!r} with NaN or infinity; try dtype=float32")
    size = max(float(alone.abs().max()), float((alone[0] - alone[1]).abs().max()))
    if float((together - alone).abs().max()) > TOLERATED[model.dtype] * size:
        raise ConfigError(
            f"{key} must score a text in a padded batch as it scores it alone, got {path!r}, a {type(model).__name__}: "
            f"{together[1].tolist()} instead of {alone[1].tolist()}; give a model of another architecture"
        )
