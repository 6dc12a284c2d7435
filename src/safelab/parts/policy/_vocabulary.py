"""Statistics over the vocabulary, some tokens at a time: the logits of a whole batch never exist in float32.

    forward     z = head(h) / T,  log p = log_softmax(z)  ->  log p[id],  H = -sum p log p,  KL = sum p (log p - log q)
    backward    dL/dz = g_logp (onehot(id) - p) - g_H p (log p + H) + g_KL p (log p - log q - KL)

The backward pass computes a chunk's logits anew instead of keeping them, and its gradient in closed form instead of
through each operation. q is the reference's distribution, without gradient.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from safelab.maths.divergence import entropy, exact_kl

CHUNKS = 16
"""Pieces of a batch that is too large for one: about seven float32 values live for each logit of a piece."""

SMALL = 2**20
"""Logits (4 MiB in float32) up to which a batch is one piece, and autograd may keep what it likes."""

LogProbs = Callable[[Float[Tensor, "n d"]], Float[Tensor, "n vocab"]]
Stats = tuple[Tensor, Tensor, Tensor, Tensor]


def tokens_per_chunk(tokens: int, vocabulary: int) -> int:
    """How many tokens to take at a time."""
    return max(1, SMALL // vocabulary, -(-tokens // CHUNKS))


def plain_stats(logp: Float[Tensor, "*n vocab"], ids: Int[Tensor, "*n"], logp_ref: Float[Tensor, "*n vocab"]) -> Stats:
    """``log p[id]``, entropy, exact KL and ``log q[id]`` of tokens whose distributions are at hand."""
    index = ids.unsqueeze(-1)
    return (
        logp.gather(-1, index).squeeze(-1),
        entropy(logp),
        exact_kl(logp, logp_ref),
        logp_ref.gather(-1, index).squeeze(-1),
    )


class ChunkedStats(torch.autograd.Function):
    """``plain_stats`` of ``log_softmax(head(hidden) / temperature)`` in pieces, forward and backward.

    Without a reference its two columns are zeros. Gradient flows to ``hidden`` and to the head's weights.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        ids: Tensor,
        head: nn.Module,
        temperature: float,
        reference: tuple[LogProbs, Tensor] | None,
        *weights: Tensor,
    ) -> Stats:
        """Columns of n numbers: log-probability, entropy, exact KL, the reference's log-probability."""
        ctx.set_materialize_grads(False)
        parts = []
        for rows in pieces(len(ids), head):
            logp = log_probs(head, hidden[rows], temperature)
            if reference is None:
                chosen = logp.gather(-1, ids[rows].unsqueeze(-1)).squeeze(-1)
                zeros = torch.zeros_like(chosen)
                parts.append((chosen, entropy(logp), zeros, zeros))
            else:
                parts.append(plain_stats(logp, ids[rows], reference[0](reference[1][rows])))
            del logp
        logp_tok, entropy_tok, kl_tok, logp_ref_tok = (torch.cat(column) for column in zip(*parts, strict=True))
        ctx.save_for_backward(hidden, ids, entropy_tok, kl_tok, *weights)
        ctx.head, ctx.temperature, ctx.reference = head, temperature, reference
        ctx.mark_non_differentiable(logp_ref_tok)
        return logp_tok, entropy_tok, kl_tok, logp_ref_tok

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """The closed form above, piece by piece."""
        hidden, ids, entropy_tok, kl_tok, *weights = ctx.saved_tensors
        trained = [weight for weight in weights if weight.requires_grad]
        to_hidden = torch.zeros_like(hidden) if ctx.needs_input_grad[0] else None
        to_weights = [torch.zeros_like(weight) for weight in trained]
        for rows in pieces(len(ids), ctx.head):
            piece = hidden[rows].detach().requires_grad_(to_hidden is not None)
            with torch.enable_grad():
                logits = ctx.head(piece)
            logp = torch.log_softmax(logits.detach().float() / ctx.temperature, dim=-1)
            slope = _slope(logp, rows, ids, entropy_tok, kl_tok, ctx.reference, gradients).div_(ctx.temperature)
            del logp
            wanted = ([piece] if to_hidden is not None else []) + trained
            found = list(torch.autograd.grad(logits, wanted, slope.to(logits.dtype)))
            del logits, slope
            if to_hidden is not None:
                to_hidden[rows] = found.pop(0)
            for total, part in zip(to_weights, found, strict=True):
                total += part
        mine = iter(to_weights)
        return to_hidden, None, None, None, None, *(next(mine) if weight.requires_grad else None for weight in weights)


def _slope(
    logp: Tensor,
    rows: slice,
    ids: Tensor,
    entropy_tok: Tensor,
    kl_tok: Tensor,
    reference: tuple[LogProbs, Tensor] | None,
    gradients: tuple[Tensor | None, ...],
) -> Tensor:
    """DL/dz of one piece; a column that no gradient comes from costs nothing."""
    to_logp, to_entropy, to_kl = gradients[:3]
    # Built in place, one vocabulary-wide buffer for the sum and one for each term: this is where the memory goes.
    weight = torch.zeros_like(logp)
    if to_kl is not None and reference is not None:
        weight = (logp - reference[0](reference[1][rows])).sub_(kl_tok[rows, None]).mul_(to_kl[rows, None])
    if to_entropy is not None:
        weight.sub_((logp + entropy_tok[rows, None]).mul_(to_entropy[rows, None]))
    if to_logp is not None:
        weight.sub_(to_logp[rows, None])
    weight.mul_(logp.exp())
    if to_logp is not None:
        weight.scatter_add_(-1, ids[rows, None], to_logp[rows, None])
    return weight


@torch.no_grad()
def logit_gradient(head: nn.Module, hidden: Tensor, ids: Tensor, temperature: float) -> Tensor:
    """``|onehot(id) - p|^2`` of each token, in pieces: a sum of squares, so that it is never below 0."""
    found = []
    for rows in pieces(len(ids), head):
        away = log_probs(head, hidden[rows], temperature).exp_()
        index = ids[rows].unsqueeze(-1)
        found.append(away.scatter_add_(-1, index, away.new_full(index.shape, -1.0)).square_().sum(dim=-1))
    return torch.cat(found)


def log_probs(head: nn.Module, hidden: Tensor, temperature: float) -> Tensor:
    """log_softmax of the logits over the temperature, in float32."""
    logits: Tensor = head(hidden)
    return torch.log_softmax(logits.float() / temperature, dim=-1)


def chosen(
    head: nn.Module, hidden: Float[Tensor, "n d"], ids: Int[Tensor, "n k"], temperature: float
) -> Float[Tensor, "n k"]:
    """``log_probs`` of some tokens at each place."""

    def of(piece: Tensor, index: Tensor) -> Tensor:
        return log_probs(head, piece, temperature).gather(-1, index)

    cut = [*pieces(len(ids), head)]
    if len(cut) == 1:
        return of(hidden, ids)
    return torch.cat([checkpoint(of, hidden[rows], ids[rows], use_reentrant=False) for rows in cut])


def pieces(tokens: int, head: nn.Module) -> Iterator[slice]:
    """Slices of tokens, in order."""
    size = tokens_per_chunk(tokens, vocabulary_of(head))
    for start in range(0, tokens, size):
        yield slice(start, start + size)


def vocabulary_of(head: nn.Module) -> int:
    """How many logits the head gives per token."""
    return int(getattr(head, "out_features"))  # noqa: B009  (of a module, for mypy)
