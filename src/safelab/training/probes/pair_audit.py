"""``safelab audit`` of an offline run: whether the loss on pairs reaches the policy, away from the reference too."""

from collections.abc import Callable

import torch

from safelab.contracts import Triage
from safelab.training.components import Components
from safelab.training.losses import gradient
from safelab.training.offline.stages import draw_pairs, make_pairs, offline_parts, pair_terms
from safelab.training.offline.triage import sorted_pairs, triage_of
from safelab.training.probes.audit import Audit, TermAudit, mean_kl, move_away, rollout_of, score


def audit_pairs(parts: Components, target_kl: float, say: Callable[[str], None]) -> Audit:
    """The one term that an offline run has, on its first batch, ``target_kl`` nats per token from the reference.

    A bound of the loss may stop every pair's gradient there; then the term does not act, and the note says why.
    """
    torch.set_num_threads(parts.settings.threads)
    _, preference = offline_parts(parts)
    triage = triage_of(parts, Triage())  # by the policy that the run starts from
    move_away(parts, target_kl, say)
    say("pairs")
    batch = sorted_pairs(parts, triage, make_pairs(parts, draw_pairs(parts, 0)), 0)
    terms = pair_terms(parts, batch, len(batch))
    norm = float(gradient(terms.loss, parts.policy.module).norm())
    clipped = float(preference.clipped_pair(terms.log_ratio).float().mean())
    term = TermAudit(
        term="preference",
        value=float(terms.loss.detach()),
        policy_grad_norm=norm,
        critic_grad_norm=0.0,
        t=None,
        acts=norm > 0,
        note=f"{clipped:.0%} of the pairs have no gradient here: they are beyond the clip" if clipped else "",
    )
    return Audit(kl=mean_kl(score(parts, rollout_of(parts, 0))), terms=(term,))
