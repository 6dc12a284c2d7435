"""The way from preference pairs to row: what ``loop`` is for online runs, for those that learn from pairs.

An update is one batch of pairs and one optimiser step. That a row may stand beside an online one, the policy writes to
prompts every ``pairs.evaluate_every`` updates, before the weights move as there, to the same prompts and with the same
noise as in an online run of this seed. Reward, gold score, KL, entropy and responses are measured by the same
functions; nothing is optimised from them.
"""

from dataclasses import replace
from typing import Any

from safelab.crash.detectors import detect_step
from safelab.maths.fetched import fetched
from safelab.training import rollouts, stages
from safelab.training.clock import Clock
from safelab.training.components import Components
from safelab.training.finite import check_weights, refuse_non_finite
from safelab.training.loop import Step
from safelab.training.losses import gradient
from safelab.training.offline.stages import (
    PairTerms,
    check_same_start,
    draw_pairs,
    make_pairs,
    offline_parts,
    pair_terms,
    pieces,
    preference_metrics,
    whole_loss,
)
from safelab.training.offline.triage import sorted_pairs, triage_metrics, triage_of
from safelab.training.rates import set_rates
from safelab.training.rewards import score_rewards
from safelab.training.rows import guard_metrics, sample_records, time_metrics, written_metrics
from safelab.training.start import START_TOLERANCE
from safelab.training.state import Counters, TrainState
from safelab.training.update import limit_gradient
from safelab.types import PairBatch, Rollout, Scored


def offline_update(parts: Components, state: TrainState) -> Step:
    """One update."""
    clock = Clock(parts.policy.module)
    update = state.counters.update
    source, _ = offline_parts(parts)

    scored = measure(parts, update, clock) if update % source.evaluate_every == 0 else None
    with clock.span("pairs"):
        state = replace(state, triage=triage_of(parts, state.triage))
        batch = sorted_pairs(parts, state.triage, make_pairs(parts, draw_pairs(parts, update)), update)
    with clock.span("update"):
        events = start_audit(parts, batch) if update == 0 else []
        set_rates(parts, state)
        terms, norm = learn(parts, state, batch)
        adapted = parts.policy.after_update(update, state.optimizers.policy)
    if update == 0:
        check_same_start(terms[0].log_ratio, pieces(parts, batch)[0], START_TOLERANCE)

    counters = advance(parts, state.counters, None if scored is None else scored.rollout)
    row = fetched(
        {
            "update": update,
            "episodes": counters.episodes,
            "tokens": counters.tokens,
            "pairs": counters.update * source.batch_size,
            **({} if scored is None else written_metrics(scored, stages.observe(scored))),
            **preference_metrics(parts, terms, batch),
            **triage_metrics(state.triage),
            "policy/grad_norm": norm,
            "policy/lr": float(state.optimizers.policy.param_groups[0]["lr"]),
            **({} if parts.guard.remedy is None else guard_metrics(state.recovery)),
            **time_metrics(parts, int(batch.mask.sum()) + counters.tokens - state.counters.tokens, clock),
        }
    )
    detectors, crashes = detect_step(parts.detectors, state.detectors, row, parts.rollout.batch_size)
    return Step(
        state=replace(state, detectors=detectors, counters=counters),
        row={**row, **adapted, **crashes},
        samples=[] if scored is None else sample_records(parts, scored, update),
        events=events,
    )


def measure(parts: Components, update: int, clock: Clock) -> Scored:
    """What the policy writes now, scored; the prompts are those that an online run of this seed would have here."""
    with clock.span("rollout"):
        prompts = rollouts.draw_prompts(parts, update * rollouts.prompts_per_rollout(parts))
        rollout = rollouts.roll_out(parts, prompts, update)
    with clock.span("reward"):
        reward_seq, gold_seq = score_rewards(parts, rollout)
        return stages.score_tokens(parts, rollout, reward_seq, gold_seq)


def learn(parts: Components, state: TrainState, batch: PairBatch) -> tuple[list[PairTerms], float]:
    """Backward pass of the batch, piece by piece, and one step; returns the terms and the gradient's norm before it.

    Raises:
        Diverged: a loss or the gradient is not finite; no weight has moved then. Or a weight is not, after the step.
    """
    optimizers = state.optimizers
    optimizers.policy.zero_grad(set_to_none=True)
    terms = []
    for piece in pieces(parts, batch):
        terms.append(pair_terms(parts, piece, len(batch)))
        terms[-1].loss.backward()  # type: ignore[no-untyped-call]
    parts.ranks.add_gradients(state.policy)
    norm = limit_gradient(parts.ranks, state.policy, optimizers.policy_max_grad_norm)
    measured = fetched({"preference_loss": whole_loss(parts, terms), "policy_grad_norm": norm})
    for name, value in measured.items():
        refuse_non_finite(name, value, state.counters.update)
    optimizers.policy.step()
    check_weights(parts, state)
    return terms, measured["policy_grad_norm"]


def advance(parts: Components, counters: Counters, rollout: Rollout | None) -> Counters:
    """One update later. ``episodes`` and ``tokens`` count what was written, which is nothing without a measurement."""
    written = (0, 0) if rollout is None else (len(rollout.responses), int(rollout.mask.sum()))
    return Counters(
        update=counters.update + 1,
        cursor=(counters.update + 1) * rollouts.prompts_per_rollout(parts),
        episodes=counters.episodes + written[0],
        tokens=counters.tokens + written[1],
    )


def start_audit(parts: Components, batch: PairBatch) -> list[dict[str, Any]]:
    """That the loss of the first piece reaches the policy; ``safelab audit`` looks at it away from the reference.

    Layers that are spread over ranks give no gradient outside a step.
    """
    if parts.policy.sharded:
        return [{"update": 0, "kind": "audit", "left_out": "policy.sharding=layers"}]
    piece = pieces(parts, batch)[0]
    loss = pair_terms(parts, piece, len(piece)).loss
    term = {"value": float(loss.detach()), "policy_grad_norm": float(gradient(loss, parts.policy.module).norm())}
    return [{"update": 0, "kind": "audit", "terms": {"preference": term}}]
