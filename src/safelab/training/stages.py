"""The stages of one update before the weights move: scores, signals, training data."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from safelab.contracts import Advantages, Evidence, Policy, Route, critic_states
from safelab.contracts.answers import check_tensor, check_type
from safelab.errors import ConfigError
from safelab.maths.divergence import k1
from safelab.maths.fetched import fetched
from safelab.maths.masked import masked_mean
from safelab.training.components import Components
from safelab.training.corrections import correction_weights
from safelab.training.moving import held_to
from safelab.training.pieces import model_inputs, rollout_pieces
from safelab.types import LARGE, Pass, Plan, Rollout, Scored, Signals, TokenStats, TrainBatch


def score_tokens(parts: Components, rollout: Rollout, reward_seq: Tensor, gold_seq: Tensor | None) -> Scored:
    """One pass of the policy and one of the reference: log-probabilities, entropy, exact KL and values."""
    scored, _ = score_with_pass(parts, rollout, reward_seq, gold_seq, keep=False)
    return scored


def score_with_pass(
    parts: Components, rollout: Rollout, reward_seq: Tensor, gold_seq: Tensor | None, *, keep: bool
) -> tuple[Scored, Pass | None]:
    """``score_tokens``, and with ``keep`` the policy's pass with its graph, which can serve as the first to train on.

    Without it the passes go in micro-batches, so that memory does not grow with the rollout.
    """
    if keep:
        rows = None if parts.ranks.size == 1 else parts.ranks.own(len(rollout.mask))
        hidden_ref, seen, frozen = _passes(parts, rollout, rows)
        pieces = [_measured(parts, rollout, hidden_ref, seen, frozen, rows)]
    else:
        seen = None
        with torch.no_grad():
            pieces = [
                _measured(parts, rollout, *_passes(parts, rollout, rows), rows)
                for rows in rollout_pieces(parts, rollout)
            ]
    check_anchor(parts.objective, rollout)
    own = {name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]} if len(pieces) > 1 else pieces[0]
    whole = {name: tensor if name in LARGE else parts.ranks.whole(tensor) for name, tensor in own.items()}
    stored = rollout.logp_rollout_tok
    scored = Scored(
        rollout=rollout,
        reward_seq=reward_seq,
        gold_seq=gold_seq,
        logp_rollout_tok=whole["logp_old_tok"] if stored is None else stored,
        **whole,
    )
    return scored, seen


def check_anchor(objective: Any, rollout: Rollout) -> None:
    """See that an objective that compares whole distributions with the sampler's gets them: where that is the policy.

    Raises:
        ConfigError: another policy or engine wrote the rollout.
    """
    if "anchor_logits" in objective.needs and objective.anchor == "rollout" and rollout.logp_rollout_tok is not None:
        raise ConfigError(
            f"objective.anchor must be old with objective={objective.name} and a rollout that brings its writer's "
            "log-probabilities, got rollout: of the writer's distributions nothing else is kept, too little to compare"
        )


def _passes(parts: Components, rollout: Rollout, rows: slice | None) -> tuple[Tensor, Pass, TokenStats | None]:
    """Reference and policy on some rows: the reference's hidden states, and what the policy's pass gives.

    The reference is that which training is held to. Where it moves, the policy is compared with the frozen one, too.
    """
    inputs = model_inputs(rollout, rows)
    model, reference = parts.policy.model, held_to(parts.policy)
    with torch.no_grad():
        hidden_ref = reference.hidden(*inputs)[:, :-1]
    hidden = model.hidden(*inputs)
    stats = model.token_stats(hidden[:, :-1], inputs[2], (reference, hidden_ref), mask=inputs[3])
    seen = Pass(hidden=hidden, stats=stats)
    if parts.policy.moving is None:
        return hidden_ref, seen, None
    with torch.no_grad():
        beside = parts.policy.reference, parts.policy.reference.hidden(*inputs)[:, :-1]
        return hidden_ref, seen, model.token_stats(hidden[:, :-1].detach(), inputs[2], beside, mask=inputs[3])


@torch.no_grad()
def _measured(
    parts: Components, rollout: Rollout, hidden_ref: Tensor, seen: Pass, frozen: TokenStats | None, rows: slice | None
) -> dict[str, Tensor]:
    """What ``Scored`` keeps of the passes on some rows."""
    hidden, stats = seen.hidden.detach(), seen.stats if frozen is None else frozen
    mask = rollout.mask if rows is None else rollout.mask[rows]
    assert stats.kl_exact_tok is not None
    assert stats.logp_ref_tok is not None
    vocabulary: dict[str, Tensor] = {}
    if "full_logits" in parts.objective.needs:
        vocabulary["logp_vocab_old"] = parts.policy.model.log_probs(hidden[:, :-1])
    if "logit_gradient" in parts.advantage.needs:
        ids = rollout.ids if rows is None else rollout.ids[rows]
        vocabulary["logit_gradient_tok"] = parts.policy.model.logit_gradient(hidden[:, :-1], ids, mask)
    if frozen is not None:
        assert seen.stats.kl_exact_tok is not None
        assert seen.stats.logp_ref_tok is not None
        vocabulary["logp_moving_tok"] = seen.stats.logp_ref_tok
        vocabulary["kl_moving_tok"] = seen.stats.kl_exact_tok.detach()
    if (count := parts.controller.route.top_k) is not None:
        vocabulary |= likeliest(parts.policy, hidden[:, :-1], hidden_ref, count)
    states = critic_states(parts.critic, hidden, *model_inputs(rollout, rows))
    heads, bootstrap = parts.critic.heads(states, mask), parts.critic.bootstrap(states, mask)
    check_heads(parts.critic, heads, bootstrap, mask)
    return {
        **vocabulary,
        "logp_old_tok": stats.logp_tok.detach(),
        "logp_ref_tok": stats.logp_ref_tok,
        "entropy_old_tok": stats.entropy_tok.detach(),
        "kl_exact_tok": stats.kl_exact_tok.detach(),
        "hidden_ref": hidden_ref,
        "heads_old": heads,
        "bootstrap_heads": bootstrap,
    }


def likeliest(policy: Policy, hidden: Tensor, hidden_ref: Tensor, count: int) -> dict[str, Tensor]:
    """The policy's ``count`` likeliest tokens at each place, and what it and the reference give them."""
    ids = policy.model.likeliest(hidden, count)
    return {
        "ids_topk": ids,
        "logp_ref_topk": held_to(policy).log_probs_of(hidden_ref, ids),
        "mass_topk_tok": policy.model.log_probs_of(hidden, ids).exp().sum(dim=-1),
    }


def check_heads(critic: Any, heads: Any, bootstrap: Any, mask: Bool[Tensor, "b t"]) -> None:
    """See that a critic gives as many values as its grain says, however many heads each has.

    Raises:
        ConfigError: it does not.
    """
    counts = {"token": mask.shape[1], "sequence": 1, None: 0}
    if critic.grain not in counts:
        raise ConfigError(f"critic must have the grain 'sequence', 'token' or None, got {critic.grain!r}")
    values = counts[critic.grain]
    for name, found in (("heads", heads), ("bootstrap", bootstrap)):
        count = found.shape[-1] if isinstance(found, Tensor) and found.dim() else 1
        check_tensor("critic", critic, name, found, (len(mask), values, count))


def observe(scored: Scored) -> Signals:
    """What the controller sees of a rollout."""
    mask = scored.rollout.mask
    k1_tok = k1(scored.logp_old_tok - scored.logp_ref_tok)
    seen = fetched(
        {
            "reward_mean": scored.reward_seq.mean(),
            "kl_ref_token_k1": masked_mean(k1_tok, mask),
            "kl_ref_token_exact": masked_mean(scored.kl_exact_tok, mask),
            "kl_ref_seq_k1": (k1_tok * mask).sum(dim=1).mean(),
            "entropy_token": masked_mean(scored.entropy_old_tok, mask),
        }
    )
    return Signals(**seen, n_sequences=len(mask))


def token_rewards(route: Route, plan: Plan, scored: Scored) -> Float[Tensor, "b t"]:
    """What the KL penalty takes from each token's reward: nothing, unless that is its route."""
    log_ratio_ref_tok = scored.logp_old_tok - scored.logp_ref_tok
    log_ratio_tok = scored.logp_old_tok - scored.logp_rollout_tok
    kl_tok = route.kl_tok(scored.kl_exact_tok, log_ratio_ref_tok, log_ratio_tok)
    return -(plan.kl_coef if route.in_reward else 0.0) * kl_tok * scored.rollout.mask


def make_batch(
    parts: Components,
    scored: Scored,
    shaped_seq: Float[Tensor, "b"],
    plan: Plan,
    greedy_seq: Float[Tensor, "b"] | None = None,
) -> TrainBatch:
    """Advantages and returns, with all that the losses read. ``greedy_seq``: rewards of the greedy responses."""
    scored = scored.for_training
    rollout = scored.rollout
    check_tensor("shaping", parts.shaping, "shaped_seq", shaped_seq, (len(rollout.mask),))
    values, bootstrap_values = parts.critic.combine(scored.heads_old), parts.critic.combine(scored.bootstrap_heads)
    for value in (values, bootstrap_values):
        check_tensor("critic", parts.critic, "combine", value, tuple(scored.heads_old.shape[:-1]))
    estimates = parts.advantage.estimate(
        Evidence(
            rollout=rollout,
            shaped_seq=shaped_seq,
            token_reward_tok=token_rewards(parts.controller.route, plan, scored),
            values=values,
            bootstrap_values=bootstrap_values,
            greedy_reward_seq=greedy_seq,
            logit_gradient_tok=scored.logit_gradient_tok,
        )
    )
    check_type("advantage", parts.advantage, "estimate", estimates, Advantages)
    shape = tuple(rollout.mask.shape)
    check_tensor("advantage", parts.advantage, "advantage_tok", estimates.advantage_tok, shape)
    if estimates.returns is not None:
        check_tensor("advantage", parts.advantage, "returns", estimates.returns, tuple(values.shape))
    weights = correction_weights(parts, scored)
    hidden_ref, logp_vocab_old, held_from = large(parts, plan, scored)
    return TrainBatch(
        prompt_ids=rollout.prompts.ids,
        prompt_mask=rollout.prompts.mask,
        group_seq=rollout.prompts.group_seq,
        ids=rollout.ids,
        mask=rollout.mask,
        logp_rollout_tok=scored.logp_rollout_tok,
        logp_old_tok=scored.logp_old_tok,
        logp_ref_tok=scored.logp_ref_tok,
        hidden_ref=hidden_ref,
        advantage_tok=estimates.advantage_tok,
        heads_old=scored.heads_old,
        returns=values if estimates.returns is None else estimates.returns,
        value_mask=rollout.mask if parts.critic.grain == "token" else torch.ones_like(values, dtype=torch.bool),
        logp_vocab_old=logp_vocab_old,
        ids_topk=scored.ids_topk,
        logp_ref_topk=scored.logp_ref_topk,
        held_from=held_from,
        advantage_metrics=estimates.metrics,
        # A weight that is no number would make the gradient of padding one that is none.
        weight_tok=None if weights is None else weights.weight_tok.masked_fill(~rollout.mask, 1.0),
        corrected_tok=None if weights is None else weights.corrected_tok,
    )


def large(parts: Components, plan: Plan, scored: Scored) -> tuple[Tensor, Tensor | None, int]:
    """The reference's hidden states and the old distributions as training reads them, and their first row.

    A minibatch that is the whole batch has the rows of a rank on that rank. Several mix the rows of all, so that all
    are gathered then, unless nothing reads them.
    """
    ranks, hidden_ref, logp_vocab = parts.ranks, scored.hidden_ref, scored.logp_vocab_old
    if ranks.size == 1 or parts.optimizer.minibatches == 1:
        return hidden_ref, logp_vocab, ranks.own(len(scored.reward_seq)).start
    read = parts.controller.route.needs_exact and plan.kl_coef != 0.0
    gathered = ranks.whole(hidden_ref if read else hidden_ref[..., :0])
    return gathered, None if logp_vocab is None else ranks.whole(logp_vocab), 0
