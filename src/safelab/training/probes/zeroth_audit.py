"""``safelab audit`` of a run by votes, which has no loss and no gradient: whether its parts move what they should."""

from collections.abc import Callable

import torch

from safelab.maths.masked import masked_mean
from safelab.training import rollouts
from safelab.training.components import Components
from safelab.training.probes.audit import Audit, TermAudit, mean_kl, move_away, score
from safelab.training.state import initial_state
from safelab.training.zeroth.loop import climb
from safelab.training.zeroth.stages import vote, write_perturbed
from safelab.types import Scored

NO_LOSS = (
    "this run has no loss and no backward pass: |grad| is the norm of the estimate from votes. That the step goes "
    "uphill is not audited, as one update's estimate is mostly noise; tests hold it to known gradients"
)


def audit_votes(parts: Components, target_kl: float, say: Callable[[str], None]) -> Audit:
    """One update by hand, ``target_kl`` nats per token from the reference, to see what moves the policy.

    ``perturbation``: its value is the share of pairs whose two responses differ. ``step``: the mean absolute change of
    a token's log-probability, in nats.
    """
    torch.set_num_threads(parts.settings.threads)
    move_away(parts, target_kl, say)
    state = initial_state(parts)
    say("votes")
    prompts = rollouts.draw_prompts(parts, 0)
    before = score(parts, rollouts.roll_out(parts, prompts, 0))  # as an update has it, with its noise
    written = write_perturbed(parts, prompts, 0)
    ballot = vote(parts, before, written, 0)
    norm, _ = climb(parts, state, ballot)
    differing = 1.0 - float(ballot.tie_seq.double().mean())
    moved = apart(before, score(parts, before.rollout))
    return Audit(
        kl=mean_kl(before),
        terms=(
            term("perturbation", differing, norm, "both policies write the same: raise optimizer.mu"),
            term("step", moved, norm, NO_LOSS),
        ),
    )


def term(name: str, value: float, norm: float, note: str) -> TermAudit:
    """It acts where ``value`` is not 0."""
    acts = value > 0
    said = note if name == "step" or not acts else ""
    return TermAudit(term=name, value=value, policy_grad_norm=norm, critic_grad_norm=0.0, t=None, acts=acts, note=said)


def apart(before: Scored, after: Scored) -> float:
    """Mean absolute difference of the tokens' log-probabilities under two policies."""
    return float(masked_mean((after.logp_old_tok - before.logp_old_tok).abs(), before.rollout.mask))
