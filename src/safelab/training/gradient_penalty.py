"""Gradient regularisation: the policy is led to where its loss is flat, by a second gradient a small step further.

    L' = L + gamma / 2 |grad L|^2,    grad L' = g1 + gamma H g1
    g1 = grad L(theta),  g2 = grad L(theta + eps g1),    d = g1 + gamma / eps (g2 - g1)  ->  grad L'  as eps -> 0

g1 is not normalised. Both gradients are of the whole minibatch, by the same data and draws, and of all that reaches the
policy's weights; the critic's own are stepped as they were. Each is scaled down to the norm ``clip`` first.
Deviation: the released code leaves embeddings and head where they are, and steps them with g2.
Ref: gradient regularisation for RLHF, arXiv 2602.18037, by its released code.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from safelab.contracts import GradientPenalty
from safelab.maths.seeds import generator
from safelab.maths.wide import wide

TINY = 1e-30
"""What a length that is divided by is at least: where all advantages are 0 there is no gradient."""


def penalise(module: nn.Module, penalty: GradientPenalty, again: Callable[[], object], seed: int) -> dict[str, Tensor]:
    """Turn the gradient g1 that the weights hold into d; returns what is logged of it.

    Args:
        module: the policy's. Its weights are, to the bit, the same afterwards.
        penalty: with a ``coef`` above 0.
        again: makes the gradient anew at the weights as they then are, where these hold none.
        seed: of a random direction.
    """
    weights = [weight for weight in module.parameters() if weight.grad is not None]
    norm, first = taken(weights, penalty.clip)
    shift = first if penalty.direction == "gradient" else random_like(first, seed)
    with shifted(weights, shift, penalty.step) as done:
        again()
    norm_after, second = taken(weights, penalty.clip)
    length, along = total(first), dot(first, second)
    cosine = along / (length * total(second)).clamp(min=TINY)
    with torch.no_grad():  # in place: there may be as much memory as for the weights, and no more
        added = [there.sub_(here).mul_(penalty.coef / penalty.step) for here, there in zip(first, second, strict=True)]
        for weight, here, more in zip(weights, first, added, strict=True):
            weight.grad = here.add_(more)
    clip = torch.inf if penalty.clip is None else penalty.clip
    return {
        "gradient_penalty/norm": norm,
        "gradient_penalty/norm_after": norm_after,
        "gradient_penalty/cosine": cosine,
        "gradient_penalty/share": total(added) / length.clamp(min=TINY),
        "gradient_penalty/clipped": ((norm > clip).float() + (norm_after > clip).float()) / 2,
        "gradient_penalty/moved": done,
    }


def taken(weights: Sequence[nn.Parameter], clip: float | None) -> tuple[Tensor, list[Tensor]]:
    """The weights' gradients, scaled down to ``clip``, and their norm before; the weights have none any more."""
    norm = nn.utils.clip_grad_norm_(weights, torch.inf if clip is None else clip)
    found = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
    for weight in weights:
        weight.grad = None
    return norm, found


@contextmanager
def shifted(weights: Sequence[nn.Parameter], shift: Sequence[Tensor], step: float) -> Iterator[Tensor]:
    """Within it the weights are ``step * shift`` further; gives the part of that way which they went.

        <theta' - theta, shift> / (step |shift|^2)      1, and 0 where rounding takes the step

    Whatever happens in it, they are back afterwards, to the bit.
    """
    start = [weight.detach().clone() for weight in weights]
    try:
        with torch.no_grad():
            for weight, along in zip(weights, shift, strict=True):
                weight.add_(along, alpha=step)
            gone = dot((weight - before for weight, before in zip(weights, start, strict=True)), shift)
        yield gone / (step * total(shift).square()).clamp(min=TINY)
    finally:
        with torch.no_grad():
            for weight, before in zip(weights, start, strict=True):
                weight.copy_(before)


def random_like(tensors: Sequence[Tensor], seed: int) -> list[Tensor]:
    """Normal numbers, as long together as ``tensors`` are."""
    drawn = generator(seed, "gradient_penalty")
    found = [torch.randn(one.shape, generator=drawn).to(one) for one in tensors]
    scale = total(tensors) / total(found)
    return [scale * one for one in found]


def total(tensors: Sequence[Tensor]) -> Tensor:
    """The norm over all of them together."""
    return nn.utils.get_total_norm(tensors)


def dot(left: Iterable[Tensor], right: Iterable[Tensor]) -> Tensor:
    """The inner product over all of them together, summed in float64."""
    return torch.stack([wide(a * b).sum() for a, b in zip(left, right, strict=True)]).sum()
