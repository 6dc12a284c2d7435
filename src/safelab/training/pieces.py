"""Which rows of a batch go through the model together; it changes memory and time, not numbers."""

from jaxtyping import Bool
from torch import Tensor

from safelab.maths.filled import filled
from safelab.training.components import Components
from safelab.types import Rollout


def rollout_pieces(parts: Components, rollout: Rollout) -> list[slice | None]:
    """Rows of a rollout that go through the model together on this rank; see ``slices``."""
    size, tokens = parts.optimizer.micro_batch_size, parts.optimizer.micro_batch_tokens
    own = parts.ranks.own(len(rollout.mask))
    pieces = slices(size, tokens, rollout.prompts.mask[own], rollout.mask[own])
    if parts.ranks.size == 1:
        return pieces
    return [own if rows is None else slice(own.start + rows.start, own.start + rows.stop) for rows in pieces]


def slices(size: int | None, tokens: int | None, *masks: Bool[Tensor, "b _"], together: int = 1) -> list[slice | None]:
    """Rows of each forward pass, in order; [None] stands for all of them as they are.

    Args:
        size: at most so many rows; ``optimizer.micro_batch_size``.
        tokens: at most so many tokens, unless one row alone has more; ``optimizer.micro_batch_tokens``.
        masks: of the rows' prompts and responses, True for tokens.
        together: rows of a group, which stay in one pass: neighbours, of which there is a whole number.
    """
    count = len(masks[0]) // together
    size = max(1, (size or len(masks[0])) // together)
    if tokens is not None:
        lengths = sum(mask.sum(dim=1) for mask in masks)
        of_groups: list[int] = lengths.reshape(count, together).sum(dim=1).tolist()  # type: ignore[union-attr]
        pieces = filled(of_groups, size, tokens)
    else:
        pieces = [slice(start, min(start + size, count)) for start in range(0, count, size)]
    return [slice(one.start * together, one.stop * together) for one in pieces] if len(pieces) > 1 else [None]


def model_inputs(rollout: Rollout, rows: slice | None) -> tuple[Tensor, ...]:
    """What a model reads of some rows: ids and mask of the prompts, ids and mask of the responses."""
    prompts = rollout.prompts
    tensors = (prompts.ids, prompts.mask, rollout.ids, rollout.mask)
    return tensors if rows is None else tuple(tensor[rows] for tensor in tensors)
