"""LoRA whose rank follows the singular values of its updates: every so often each is cut down to its greedy rank.

    every ``every`` updates, for each projection, with the singular values s of B A:
        r_hat = max{ l : sum_{k <= l} s_k / sum_k s_k <= mass_share },  at least 1
        B <- U_r sqrt(S_r),   A <- sqrt(S_r) V_r^T,   and the optimiser forgets its averages of both

Limits: mass_share = 1 keeps the product and only makes the factors equally long; every > updates is LoRA to the bit.

What is cut off may learn anew: its columns of B are zero and its rows of A are drawn as at LoRA's start, so that they
add nothing and have a gradient. So the rank can rise again, up to ``rank``, as in the paper, whose weights are whole
between two projections.

Deviation: the paper truncates the weights of a small network of its own in control; here it is the update of a language
model that is truncated, as whole weights of low rank would be another model.
Ref: arXiv 2510.11899 (AdaRL).
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from safelab.contracts import Adapted
from safelab.maths.low_rank import Truncated, truncated
from safelab.maths.seeds import generator
from safelab.parts.policy.adapter._lora import LowRank


class AdaptiveLora(LowRank):
    """``rank``, the greatest; ``alpha``, ``targets``: see ``_lora.LowRank``.

    ``mass_share``: of the singular values' sum, what the directions that stay may have at most (the paper's beta).
    ``every``: updates between two projections.
    """

    mass_share: Annotated[float, Field(gt=0, le=1)]
    every: Annotated[int, Field(ge=1)]

    def adapt(self, module: Any, seed: int) -> Adapted:
        """As LoRA, and what is to be done to its updates after an update of the run.

        Raises:
            ConfigError: a target that the model does not have.
        """
        adapted = self.low_rank(module, seed)
        # A projection reads factors whole, so they cannot lie in parts: ``weights`` is None.
        return replace(adapted, after_update=partial(self._project, adapted.trained, seed), weights=None)

    def _project(
        self, adapted: nn.Module, seed: int, update: int, optimizer: torch.optim.Optimizer
    ) -> dict[str, float]:
        """Where it is time, cut every projection's update down; returns the metrics, nothing where it is not."""
        if (update + 1) % self.every:
            return {}
        cuts = []
        for name, (b, a) in factors(adapted).items():
            # On the CPU in float64, where every rank and every device finds the same.
            cut = truncated(b.detach().cpu().double(), a.detach().cpu().double(), self.mass_share)
            put(cut, b, a, generator(seed, "adaptive_lora", update, name))
            for weight in (b, a):
                optimizer.state.pop(weight, None)
            cuts.append(cut)
        return rank_metrics(cuts)


def factors(adapted: nn.Module) -> Mapping[str, tuple[Tensor, Tensor]]:
    """B and A of every projection that has an update, by its name."""
    from peft.tuners.lora import LoraLayer

    return {
        name: (layer.lora_B["default"].weight, layer.lora_A["default"].weight)
        for name, layer in adapted.named_modules()
        if isinstance(layer, LoraLayer)
    }


@torch.no_grad()
def put(cut: Truncated, b: Tensor, a: Tensor, drawn: torch.Generator) -> None:
    """Write the factors in place; rows of A that hold nothing are drawn as LoRA's are: even within 1 / sqrt(inputs)."""
    bound = a.shape[1] ** -0.5
    spare = torch.empty(len(a) - cut.used, a.shape[1]).uniform_(-bound, bound, generator=drawn)
    b.copy_(cut.b)
    a.copy_(cut.a)
    a[cut.used :] = spare.to(a)


def rank_metrics(cuts: list[Truncated]) -> dict[str, float]:
    """The ranks after a projection, and what it left of the updates."""
    ranks = [cut.rank for cut in cuts]
    return {
        "adapter/rank_mean": sum(ranks) / len(ranks),
        "adapter/rank_min": min(ranks),
        "adapter/rank_max": max(ranks),
        "adapter/mass_kept": sum(cut.kept for cut in cuts) / len(cuts),
    }
