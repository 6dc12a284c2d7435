"""The way from prompt to row, for every arm alike: PPO and SAFE differ only in the parts that the YAML names."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from safelab.crash.detectors import detect_step
from safelab.training import stages
from safelab.training.aside import Aside, begun
from safelab.training.clock import Clock
from safelab.training.components import Components
from safelab.training.filling import Filled, filled_batch, judged
from safelab.training.finite import check_batch, check_plan, check_weights
from safelab.training.losses import step_zero
from safelab.training.moving import follow
from safelab.training.rates import set_rates
from safelab.training.rewards import score_greedy
from safelab.training.rows import metric_row, sample_records
from safelab.training.start import check_first_pass, check_start
from safelab.training.state import Counters, TrainState
from safelab.training.update import (
    UpdateStats,
    cap_update,
    cuts,
    micro_batches,
    own_rows,
    pass_means,
    reuses_pass,
    run_epoch,
    weights_of,
)
from safelab.types import Pass, Plan, Rollout, Signals, TrainBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one update leaves: the next state, its row, what the policy wrote (where that is kept), and events."""

    state: TrainState
    row: dict[str, Any]
    samples: list[dict[str, Any]]
    events: list[dict[str, Any]]


def train_loop(
    parts: Components, state: TrainState, update: Callable[[Components, TrainState], Step]
) -> Iterator[Step]:
    """Updates (of ``updates.update_of``) from ``state`` to the last; each is yielded when it is whole."""
    while state.counters.update < parts.settings.updates:
        step = update(parts, state)
        state = step.state
        yield step


def train_update(parts: Components, state: TrainState) -> Step:
    """One update; where the sampler can, a later one's rollout is written meanwhile."""
    clock = Clock(parts.policy.module)
    with clock.span("rollout"):
        state, rollout, aside = begun(parts, state)
    with aside:
        return learn(parts, state, rollout, aside, clock)


def learn(parts: Components, state: TrainState, rollout: Rollout, aside: Aside, clock: Clock) -> Step:
    """What one update makes of a rollout: scores, plan, batch, steps of the optimisers, row."""
    update = state.counters.update
    with clock.span("reward"):
        first = judged(parts, rollout)
        greedy_seq = score_greedy(parts, rollout)
    state, filled = filled_batch(parts, state, first, clock)
    rollout, reward_seq = filled.batch.rollout, filled.batch.reward_seq
    with clock.span("update"):
        scored, first_pass = stages.score_with_pass(
            parts, rollout, reward_seq, filled.batch.gold_seq, keep=reuses_pass(parts, rollout)
        )
        signals = told(filled, stages.observe(scored))
        heard = signals if parts.policy.moving is None else told(filled, stages.observe(scored.for_training))
        if parts.controller.step_every == "rollout":
            state = replace(state, controller=parts.controller.step(state.controller, heard))
        plan = planned(parts, state)
        shaping, shaped = parts.shaping.step(state.shaping, rollout, reward_seq)
        if update == 0:
            check_start(parts, scored, signals)
        batch = stages.make_batch(parts, scored, shaped.shaped_seq, plan, greedy_seq)
        check_batch(batch, shaped.shaped_seq, update)
        events = start_audit(parts, plan, batch, first_pass) if update == 0 else []
        set_rates(parts, state)
        state, stats = optimise(parts, state, batch, plan, heard, first_pass)
        check_weights(parts, state)
        adapted = parts.policy.after_update(update, state.optimizers.policy)
        del first_pass  # with its graph, before the next rollout
        follow(parts, update + 1)
        if parts.controller.step_every == "update":
            state = replace(state, controller=parts.controller.step(state.controller, heard))
    if update == 0:
        check_first_pass(stats)
    state = aside.joined(parts, state, clock)

    plan = planned(parts, state) if parts.controller.step_every == "epoch" else plan
    state = replace(state, shaping=shaping, counters=advance(state.counters, filled, stats))
    row = metric_row(parts, state, filled, scored, batch, plan, signals, shaped, stats, clock)
    detectors, crashes = detect_step(parts.detectors, state.detectors, row, parts.rollout.batch_size)
    return Step(
        state=replace(state, detectors=detectors),
        row={**row, **adapted, **crashes},
        samples=sample_records(parts, filled.first, update),
        events=events,
    )


def told(filled: Filled, signals: Signals) -> Signals:
    """The signals with the reward of the prompts first drawn: a batch without equal groups has one near the middle."""
    return (
        signals if filled.batch is filled.first else replace(signals, reward_mean=float(filled.first.reward_seq.mean()))
    )


def planned(parts: Components, state: TrainState) -> Plan:
    """The controller's plan, its penalty as strong as the rollbacks so far have made it.

    Raises:
        Diverged: a number of it is not finite.
    """
    plan, scale = parts.controller.plan(state.controller), state.recovery.kl_coef_scale
    check_plan(plan, state.counters.update)
    return plan if scale == 1.0 else replace(plan, kl_coef=scale * plan.kl_coef, penalty=scale * plan.penalty)


def optimise(
    parts: Components, state: TrainState, batch: TrainBatch, plan: Plan, signals: Signals, first_pass: Pass | None
) -> tuple[TrainState, UpdateStats]:
    """The epochs over one rollout, and what they did. A controller of the released kind is stepped after each.

    ``first_pass`` is the pass that scored the rollout, where it can serve the first epoch.
    """
    stats = UpdateStats()
    before: list[Tensor] = [] if parts.controller.preview_max_kl is None else weights_of(state.policy)
    for epoch, cut in enumerate(cuts(parts, batch, state.counters.update)):
        passed = run_epoch(parts, state, batch, plan, epoch, cut, stats, first_pass if epoch == 0 else None)
        terms = passed[-1]
        if parts.controller.step_every == "epoch":
            # As released: the same reward and entropy again, with the KL of this epoch's own pass.
            seen = replace(signals, kl_ref_token_k1=terms.sums["kl_ref_k1"] / terms.tokens)
            state = replace(state, controller=parts.controller.step(state.controller, seen))
            plan = planned(parts, state)
        stats.epochs += 1
        if parts.optimizer.target_kl is not None and terms.sums["kl_old_k3"] / terms.tokens > parts.optimizer.target_kl:
            break
    # Once, on the last pass: the first is at ratio 1, where a dual variable would fall whatever the update does.
    state = replace(state, objective=parts.objective.step(state.objective, pass_means(passed, "objective/")))
    if parts.controller.preview_max_kl is not None:
        stats.preview_scale = cap_update(parts, before, batch, parts.controller.preview_max_kl)
    return state, stats


def advance(counters: Counters, filled: Filled, stats: UpdateStats) -> Counters:
    """One update later. Episodes and tokens are all that were written, those that were left out among them."""
    return Counters(
        update=counters.update + 1,
        cursor=counters.cursor,
        episodes=counters.episodes + len(filled.batch.reward_seq) + filled.unread_episodes,
        tokens=counters.tokens + stats.rollout_tokens + filled.unread_tokens,
    )


def start_audit(parts: Components, plan: Plan, batch: TrainBatch, first_pass: Pass | None) -> list[dict[str, Any]]:
    """Which terms the loss of the first micro-batch has and what they reach; ``safelab audit`` does it in full.

    Layers that are spread over ranks give no gradient of one term by itself.
    """
    route = parts.controller.route.name
    if parts.policy.sharded:
        return [{"update": 0, "kind": "audit", "kl_route": route, "left_out": "policy.sharding=layers"}]
    piece = next(micro_batches(parts, own_rows(parts, batch)))
    terms = step_zero(parts, plan, piece, first_pass)
    return [{"update": 0, "kind": "audit", "kl_route": route, "terms": terms}]
