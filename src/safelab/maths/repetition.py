"""How much of a response says the same again."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def repeated_bigram_share(ids: Int[Tensor, "b t"], mask: Bool[Tensor, "b t"]) -> Float[Tensor, "b"]:
    """``1 - distinct / all`` over the pairs of neighbouring tokens of each response, in [0, 1).

    Limits: no pair twice, or fewer than two tokens, gives 0; one token n times gives ``1 - 1 / (n - 1)``.

    Args:
        ids: tokens, not negative, padded on the right.
        mask: True for response tokens.
    """
    valid = mask[:, 1:] & mask[:, :-1]
    pairs = ids[:, :-1].long() * (ids.max() + 1) + ids[:, 1:].long()
    # Padding becomes numbers that no pair has and that differ from each other, so it never counts as a repetition.
    filler = -1 - torch.arange(pairs.shape[1], device=ids.device).expand_as(pairs)
    ordered = torch.where(valid, pairs, filler).sort(dim=1).values
    repeated = (ordered[:, 1:] == ordered[:, :-1]).sum(dim=1)
    return repeated / valid.sum(dim=1).clamp(min=1)
