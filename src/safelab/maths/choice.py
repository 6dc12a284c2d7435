"""The better and the worse response to a prompt, chosen by their scores.

A group whose scores are all equal says nothing of which is better: it is ``tied``, and no loss is made of it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from safelab.maths.groups import first_greatest, group_max, group_sum


@dataclass(frozen=True, slots=True)
class Choice:
    """``chosen_seq``, ``rejected_seq``: one response of each group, of equals the first. ``tied_seq``: no choice.

    ``margin_seq``: greatest less least score of the group, at each of its responses.
    """

    chosen_seq: Bool[Tensor, "b"]
    rejected_seq: Bool[Tensor, "b"]
    tied_seq: Bool[Tensor, "b"]
    margin_seq: Float[Tensor, "b"]


def choice(score_seq: Float[Tensor, "b"], group_seq: Int[Tensor, "b"]) -> Choice:
    """The response of greatest score and that of least, in each group."""
    margin_seq = group_max(score_seq, group_seq) + group_max(-score_seq, group_seq)
    return Choice(
        chosen_seq=first_greatest(score_seq, group_seq),
        rejected_seq=first_greatest(-score_seq, group_seq),
        tied_seq=margin_seq == 0,
        margin_seq=margin_seq,
    )


def of_one(x_seq: Float[Tensor, "b"], which_seq: Bool[Tensor, "b"], group_seq: Int[Tensor, "b"]) -> Float[Tensor, "b"]:
    """The number of the one response of each group where ``which_seq`` is True, at each response of the group."""
    return group_sum(torch.where(which_seq, x_seq, torch.zeros_like(x_seq)), group_seq)
