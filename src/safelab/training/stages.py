"""The stages of one update before the weights move: prompts, rollout, scores, signals, training data."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from safelab.contracts import Advantages, Evidence, Route, Sampler, Weights, drawn_columns, drawn_prompts
from safelab.contracts.answers import check_tensor, check_type
from safelab.errors import ConfigError
from safelab.maths.divergence import k1
from safelab.maths.fetched import fetched
from safelab.maths.masked import masked_mean
from safelab.maths.seeds import row_seeds
from safelab.training.components import Components
from safelab.training.pieces import rollout_pieces
from safelab.training.state import TrainState
from safelab.types import LARGE, Greedy, Pass, Plan, PromptBatch, Rollout, Scored, Signals, TrainBatch


def next_rollout(parts: Components, state: TrainState) -> tuple[TrainState, Rollout]:
    """The rollout to train on, and the state that holds those still waiting.

    With ``rollout.staleness`` k, rollouts are written k updates before they are trained on, as where generation and
    training run side by side: at update 0 the starting policy writes k + 1 of them, and each later update one more.
    """
    state = filled(parts, state, parts.rollout.staleness + 1)
    return replace(state, pending=state.pending[1:]), state.pending[0]


def filled(parts: Components, state: TrainState, count: int) -> TrainState:
    """The state with ``count`` rollouts waiting; those that are missing are written now."""
    while len(state.pending) < count:
        state, prompts, number = drawn(parts, state)
        state = waiting(parts, state, roll_out(parts, prompts, number))
    return state


def drawn(parts: Components, state: TrainState) -> tuple[TrainState, PromptBatch, int]:
    """The prompts of the next rollout to write, the state behind them, and the update that will train on it."""
    counters = state.counters
    behind = counters.model_copy(update={"cursor": counters.cursor + prompts_per_rollout(parts)})
    number = counters.update + len(state.pending)
    return replace(state, counters=behind), draw_prompts(parts, counters.cursor), number


def waiting(parts: Components, state: TrainState, rollout: Rollout) -> TrainState:
    """The state with one more rollout that waits; a stale one says when it was written."""
    marked = replace(rollout, written=state.counters.update) if parts.rollout.staleness > 0 else rollout
    return replace(state, pending=(*state.pending, marked))


def prompts_per_rollout(parts: Components) -> int:
    """Different prompts in a rollout."""
    return parts.rollout.batch_size // parts.rollout.samples_per_prompt


def draw_prompts(parts: Components, cursor: int) -> PromptBatch:
    """The next prompts, each as often as it is to be answered, as tokens: ``rollout.batch_size`` rows."""
    count, copies = prompts_per_rollout(parts), parts.rollout.samples_per_prompt
    texts = drawn_prompts(parts.data, cursor, count)
    columns = drawn_columns(parts.data, parts.reading, cursor, count)
    rows = [row // copies for row in range(count * copies)]
    return encoded(parts, texts, columns, rows, [cursor + row for row in rows])


def encoded(
    parts: Components,
    texts: Sequence[str],
    columns: Mapping[str, Sequence[Any]],
    rows: Sequence[int],
    groups: Sequence[int],
) -> PromptBatch:
    """The prompts at ``rows`` as tokens, with what the data says of each besides."""
    batch = parts.policy.encode([texts[row] for row in rows], groups)
    chosen = {name: tuple(values[row] for row in rows) for name, values in columns.items()}
    return replace(batch, columns=chosen) if chosen else batch


def roll_out(parts: Components, prompts: PromptBatch, *names: int | str) -> Rollout:
    """One response per row; its noise depends on the seed, ``names`` (of an update: its number) and the row alone.

    Each rank writes to its own prompts.
    """
    with parts.policy.whole():
        own = parts.ranks.agreed(lambda: written(parts, parts.rollout, prompts, *names))
    return gathered(parts, prompts, own)


def written(parts: Components, sampler: Sampler, prompts: PromptBatch, *names: int | str) -> Rollout:
    """What this rank writes of a rollout; nothing is exchanged, so that it may be written in another thread."""
    own = parts.ranks.own(len(prompts.ids))
    seeds = row_seeds(parts.settings.seed, "rollout", *names, rows=len(prompts.ids))
    rollout = sampler.sample(parts.policy, prompts.rows(own), seeds[own])
    if "greedy" not in parts.advantage.needs:
        return rollout
    return replace(rollout, greedy=sampler.greedy(parts.policy, prompts.rows(own)))


def gathered(parts: Components, prompts: PromptBatch, own: Rollout) -> Rollout:
    """What all ranks wrote to ``prompts``, with the log-probabilities of a stale rollout's writer."""
    rollout = whole_rollout(parts, prompts, own)
    if parts.rollout.staleness > 0 and rollout.logp_rollout_tok is None:
        # By the time that it is trained on, the policy that wrote it is gone.
        rollout = replace(rollout, logp_rollout_tok=_log_probs(parts, rollout))
    if (greedy := own.greedy) is not None:
        responses = tuple(parts.ranks.joined(greedy.responses))
        rollout = replace(rollout, greedy=Greedy(responses=responses, ended_seq=parts.ranks.whole(greedy.ended_seq)))
    return rollout


def whole_rollout(parts: Components, prompts: PromptBatch, own: Rollout) -> Rollout:
    """What all ranks wrote to ``prompts``, in their order."""
    ranks, logp_tok = parts.ranks, own.logp_rollout_tok
    return Rollout(
        prompts=prompts,
        ids=ranks.whole(own.ids, parts.policy.pad),
        mask=ranks.whole(own.mask),
        ended_seq=ranks.whole(own.ended_seq),
        responses=tuple(ranks.joined(own.responses)),
        logp_rollout_tok=None if logp_tok is None else ranks.whole(logp_tok),
    )


@torch.no_grad()
def _log_probs(parts: Components, rollout: Rollout) -> Float[Tensor, "b t"]:
    """Log-probabilities of the response tokens under the policy as it is now."""
    model, pieces = parts.policy.model, []
    for rows in rollout_pieces(parts, rollout):
        inputs = _inputs(rollout, rows)
        pieces.append(model.token_stats(model.hidden(*inputs)[:, :-1], inputs[2], mask=inputs[3]).logp_tok)
    return parts.ranks.whole(torch.cat(pieces))


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
        rows = rollout_pieces(parts, rollout)[0]
        hidden_ref, seen = _passes(parts, rollout, rows)
        pieces = [_measured(parts, rollout, hidden_ref, seen, rows)]
    else:
        seen = None
        with torch.no_grad():
            pieces = [
                _measured(parts, rollout, *_passes(parts, rollout, rows), rows)
                for rows in rollout_pieces(parts, rollout)
            ]
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


def _passes(parts: Components, rollout: Rollout, rows: slice | None) -> tuple[Tensor, Pass]:
    """Reference and policy on some rows: the reference's hidden states, and what the policy's pass gives."""
    inputs = _inputs(rollout, rows)
    model, reference = parts.policy.model, parts.policy.reference
    with torch.no_grad():
        hidden_ref = reference.hidden(*inputs)[:, :-1]
    hidden = model.hidden(*inputs)
    stats = model.token_stats(hidden[:, :-1], inputs[2], (reference, hidden_ref), mask=inputs[3])
    return hidden_ref, Pass(hidden=hidden, stats=stats)


def _inputs(rollout: Rollout, rows: slice | None) -> tuple[Tensor, ...]:
    """What a model reads of some rows: ids and mask of the prompts, ids and mask of the responses."""
    prompts = rollout.prompts
    tensors = (prompts.ids, prompts.mask, rollout.ids, rollout.mask)
    return tensors if rows is None else tuple(tensor[rows] for tensor in tensors)


@torch.no_grad()
def _measured(
    parts: Components, rollout: Rollout, hidden_ref: Tensor, seen: Pass, rows: slice | None
) -> dict[str, Tensor]:
    """What ``Scored`` keeps of the passes on some rows."""
    hidden, stats = seen.hidden.detach(), seen.stats
    mask = rollout.mask if rows is None else rollout.mask[rows]
    assert stats.kl_exact_tok is not None
    assert stats.logp_ref_tok is not None
    vocabulary = {}
    if "full_logits" in parts.objective.needs:
        vocabulary["logp_vocab_old"] = parts.policy.model.log_probs(hidden[:, :-1])
    heads, bootstrap = parts.critic.heads(hidden, mask), parts.critic.bootstrap(hidden, mask)
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
        held_from=held_from,
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


def correction_weights(parts: Components, scored: Scored) -> Weights | None:
    """What the correction makes of a rollout whose sampler is not the policy about to be trained."""
    mask, sampled = scored.rollout.mask, scored.rollout.logp_rollout_tok
    if sampled is None:
        return None  # one policy, and its own tokens: each weight would be 1
    weights = parts.correction.weigh(scored.logp_old_tok - sampled, mask)
    if weights is not None:
        check_type("correction", parts.correction, "weigh", weights, Weights)
        check_tensor("correction", parts.correction, "weight_tok", weights.weight_tok, tuple(mask.shape))
        check_tensor("correction", parts.correction, "corrected_tok", weights.corrected_tok, tuple(mask.shape))
    return weights
