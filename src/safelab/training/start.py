"""Update 0: before anything was learnt policy, reference and rollout score alike. Most broken set-ups show here."""

import torch
from jaxtyping import Float
from torch import Tensor

from safelab.errors import RunFailed
from safelab.maths.masked import masked_mean
from safelab.training.components import Components
from safelab.training.update import UpdateStats
from safelab.types import Rollout, Scored, Signals

START_TOLERANCE = 1e-3
"""Nats per token in float32, whose rounding stays below 1e-5 here."""

COARSE_TOLERANCE = 0.1
"""Nats per token where a pass rounds to 16 bits, or where another engine sampled.

Measured on a chat model of 135 million weights and 30 layers: in bfloat16 every way to read a response is 0.05 away
from float32, and two ways are 0.05 from each other, while a prompt whose first token is lost is 0.33 away, and one with
two tokens of padding read as words 0.22 (docs/log.md).
"""

ROWS_ALONE = 8
"""Responses that are scored a second time, each alone."""


def check_start(parts: Components, scored: Scored, signals: Signals) -> None:
    """Before the first step the policy equals the reference, and every way to score a response says the same.

    The pass that trains may be the very one that scored, so the comparison is with a pass of its own: each response
    alone, without padding and without neighbours. A mean ratio would say little: over tokens that the policy wrote, its
    expectation is 1 whatever the other pass says.

    Raises:
        RunFailed: KL to the reference, or a mean absolute difference of log-probabilities, is beyond rounding.
    """
    kl = abs(signals.kl_ref_token_exact or 0.0)
    if kl > START_TOLERANCE:
        raise RunFailed(
            f"at update 0 KL to the reference must be 0 (within {START_TOLERANCE}), got {kl:.2g} nats per token: "
            f"policy and reference do not score alike {CAUSES}"
        )
    mask = scored.rollout.mask[:ROWS_ALONE]
    alone = score_alone(parts, scored.rollout)
    rounding = START_TOLERANCE if scored.hidden_ref.dtype in (torch.float32, torch.float64) else COARSE_TOLERANCE
    _refuse_apart("scored in the batch", scored.logp_old_tok[:ROWS_ALONE], alone, mask, rounding)
    if scored.rollout.logp_rollout_tok is not None:
        tolerance = COARSE_TOLERANCE + parts.rollout.apart
        _refuse_apart("sampled", scored.rollout.logp_rollout_tok[:ROWS_ALONE], alone, mask, tolerance)


def check_first_pass(stats: UpdateStats) -> None:
    """The first pass that trained had ratio 1 (where it is the pass that scored: ``check_start`` is the check).

    Raises:
        RunFailed: it is further from 1 than rounding.
    """
    if stats.first_ratio_error > START_TOLERANCE:
        raise RunFailed(
            f"at update 0 the ratio must be 1 (within {START_TOLERANCE}), got it off by {stats.first_ratio_error:.2g}: "
            f"the pass that trains does not score as the one before it {CAUSES}"
        )


CAUSES = "(dropout, precision, positions or masks)"


@torch.no_grad()
def score_alone(parts: Components, rollout: Rollout) -> Float[Tensor, "n t"]:
    """Log-probabilities of the first ``ROWS_ALONE`` responses, each from a pass of its own; 0 on padding."""
    model, prompts = parts.policy.model, rollout.prompts
    rows = rollout.ids[:ROWS_ALONE]
    logp_tok = torch.zeros(rows.shape, device=rows.device)
    for row in range(len(rows)):
        length, real = int(rollout.mask[row].sum()), prompts.mask[row]
        ids, mask = rollout.ids[row : row + 1, :length], rollout.mask[row : row + 1, :length]
        hidden = model.hidden(prompts.ids[row : row + 1, real], prompts.mask[row : row + 1, real], ids, mask)
        logp_tok[row, :length] = model.token_stats(hidden[:, :-1], ids).logp_tok[0].float()
    return logp_tok


def _refuse_apart(how: str, logp_tok: Tensor, alone_tok: Tensor, mask: Tensor, tolerance: float) -> None:
    apart = float(masked_mean((logp_tok - alone_tok).abs(), mask))
    if not apart <= tolerance:
        raise RunFailed(
            f"at update 0 a response must have the same log-probabilities {how} and scored alone (within {tolerance} "
            f"nats per token), got a mean difference of {apart:.2g}: the passes do not read alike {CAUSES}"
        )
