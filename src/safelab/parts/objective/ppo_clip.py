"""PPO's clipped surrogate.

    loss_t = max(-A r, -A clip(r, 1 - low, 1 + high)),   r = exp(logp - logp_anchor)

With ``dual_clip`` c, the loss of a token with A < 0 is at most -c A.
Ref: Schulman et al. 2017, arXiv 1707.06347, eq. 7; dual clip: Ye et al. 2020, arXiv 1912.09729, eq. 5; a wider upper
bound (clip-higher): Yu et al. 2025 (DAPO), arXiv 2503.14476, section 3.1.
"""

from functools import partial
from typing import Annotated

from pydantic import Field

from safelab.contracts import Context, Need
from safelab.maths.surrogate import ppo_clip_tok, ppo_clipped_tok
from safelab.parts.objective._common import ObjectiveOptions, Stateless, log_ratio
from safelab.types import Current, PolicyLoss, TrainBatch

NEEDS: frozenset[Need] = frozenset({"rollout_logp", "old_logp"})


class Options(ObjectiveOptions):
    """``clip_range``: the ratio may fall by it; ``clip_range_high``: rise by it, null for the same.

    ``dual_clip``: null for none.
    """

    clip_range: Annotated[float, Field(gt=0, lt=1)]
    clip_range_high: Annotated[float, Field(gt=0)] | None
    dual_clip: Annotated[float, Field(gt=1)] | None


def build(options: Options, context: Context) -> Stateless:
    """The objective."""
    return Stateless(options=options, needs=NEEDS, compute=partial(loss, options))


def loss(options: Options, current: Current, batch: TrainBatch) -> PolicyLoss:
    """Loss of each token."""
    low = options.clip_range
    high = low if options.clip_range_high is None else options.clip_range_high
    bounded = (log_ratio(options.anchor, current, batch), batch.advantage_tok, low, high, options.dual_clip)
    return PolicyLoss(loss_tok=ppo_clip_tok(*bounded), clipped_tok=ppo_clipped_tok(*bounded), metrics_tok={})
