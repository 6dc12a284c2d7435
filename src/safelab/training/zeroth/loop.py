"""The way from prompt to row without a backward pass: what ``loop`` is for runs that learn by a loss.

An update is one step along a gradient that is estimated from votes. The policy itself writes the first response of
each pair, to the prompts and with the noise that an online run of this seed has here, so that its row says the same
under the same names; perturbed policies write the second ones.
"""

from collections.abc import Sequence
from dataclasses import replace

from safelab.crash.detectors import detect_step
from safelab.maths.fetched import fetched
from safelab.training import rollouts, stages
from safelab.training.clock import Clock
from safelab.training.components import Components
from safelab.training.finite import check_weights, refuse_non_finite
from safelab.training.loop import Step
from safelab.training.rates import set_rates
from safelab.training.rewards import score_rewards
from safelab.training.rows import guard_metrics, sample_records, time_metrics, written_metrics
from safelab.training.start import check_start
from safelab.training.state import Counters, TrainState
from safelab.training.update import limit_gradient
from safelab.training.zeroth.stages import Ballot, estimate, trained_weights, vote, write_perturbed
from safelab.types import Rollout


def zeroth_update(parts: Components, state: TrainState) -> Step:
    """One update."""
    clock, update = Clock(parts.policy.module), state.counters.update
    with clock.span("rollout"):
        prompts = rollouts.draw_prompts(parts, state.counters.cursor)
        rollout = rollouts.roll_out(parts, prompts, update)
    with clock.span("reward"):
        reward_seq, gold_seq = score_rewards(parts, rollout)
    with clock.span("update"):
        scored = stages.score_tokens(parts, rollout, reward_seq, gold_seq)
        signals = stages.observe(scored)
        if update == 0:
            check_start(parts, scored, signals)
    with clock.span("perturbed"):
        written = write_perturbed(parts, prompts, update)
    with clock.span("votes"):
        ballot = vote(parts, scored, written, update)
    with clock.span("step"):
        set_rates(parts, state)
        norm, step_norm = climb(parts, state, ballot)
        adapted = parts.policy.after_update(update, state.optimizers.policy)

    counters = advance(parts, state.counters, [rollout, *written], ballot.votes)
    row = fetched(
        {
            "update": update,
            "episodes": counters.episodes,
            "tokens": counters.tokens,
            "votes": counters.votes,
            **written_metrics(scored, signals),
            **oracle_metrics(ballot),
            "policy/grad_norm": norm,
            "policy/step_norm": step_norm,
            "policy/lr": float(state.optimizers.policy.param_groups[0]["lr"]),
            **({} if parts.guard.remedy is None else guard_metrics(state.recovery)),
            **time_metrics(parts, counters.tokens - state.counters.tokens, clock),
        }
    )
    detectors, crashes = detect_step(parts.detectors, state.detectors, row, parts.rollout.batch_size)
    return Step(
        state=replace(state, detectors=detectors, counters=counters),
        row={**row, **adapted, **crashes},
        samples=sample_records(parts, scored, update),
        events=[],
    )


def climb(parts: Components, state: TrainState, ballot: Ballot) -> tuple[float, float]:
    """One step along the estimate; returns its norm before any limit, and the length of the step.

    Raises:
        Diverged: the estimate is not finite; no weight has moved then. Or a weight is not, after the step.
    """
    optimizers, update = state.optimizers, state.counters.update
    weights = trained_weights(parts)
    for weight, gradient in zip(weights, estimate(parts, ballot, update), strict=True):
        weight.grad = gradient
    norm = float(limit_gradient(parts.ranks, state.policy, optimizers.policy_max_grad_norm))
    refuse_non_finite("the estimate's norm", norm, update)
    optimizers.policy.step()
    optimizers.policy.zero_grad(set_to_none=True)
    check_weights(parts, state)
    limit = optimizers.policy_max_grad_norm
    taken = norm if limit is None else min(norm, limit)
    return norm, float(optimizers.policy.param_groups[0]["lr"]) * taken


def advance(parts: Components, counters: Counters, written: Sequence[Rollout], votes: int) -> Counters:
    """One update later; both policies' responses count."""
    return Counters(
        update=counters.update + 1,
        cursor=counters.cursor + rollouts.prompts_per_rollout(parts),
        episodes=counters.episodes + sum(len(rollout.responses) for rollout in written),
        tokens=counters.tokens + sum(int(rollout.mask.sum()) for rollout in written),
        votes=counters.votes + votes,
    )


def oracle_metrics(ballot: Ballot) -> dict[str, float]:
    """What the votes of an update say; see docs/metrics.md."""
    return {
        "oracle/votes": ballot.votes,
        "oracle/share_mean": float(ballot.share_seq.mean()),
        "oracle/gap_mean": float(ballot.gap_seq.mean()),
        "oracle/tie_share": float(ballot.tie_seq.double().mean()),
        "oracle/trimmed_share": float(ballot.trimmed_seq.double().mean()),
    }
