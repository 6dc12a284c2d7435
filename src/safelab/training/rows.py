"""What is written of one update: the row of ``metrics.jsonl`` and the records of ``samples.jsonl``.

Every name has its line in docs/metrics.md; a metric that a run does not have is absent.
"""

from typing import Any

import torch
from torch import Tensor

from safelab.contracts import Shaped
from safelab.maths.divergence import k1, k3
from safelab.maths.fetched import fetched
from safelab.maths.masked import masked_mean
from safelab.maths.wide import wide
from safelab.training.clock import Clock
from safelab.training.components import Components
from safelab.training.corrections import dropped_metrics, weight_metrics
from safelab.training.filling import Filled
from safelab.training.moving import moving_metrics
from safelab.training.stages import observe
from safelab.training.state import Recovery, TrainState
from safelab.training.update import UpdateStats
from safelab.types import Judged, Plan, Rollout, Scored, Signals, TrainBatch


def metric_row(
    parts: Components,
    state: TrainState,
    filled: Filled,
    scored: Scored,
    batch: TrainBatch,
    plan: Plan,
    signals: Signals,
    shaped: Shaped,
    stats: UpdateStats,
    clock: Clock,
) -> dict[str, Any]:
    """The row, without the crash flags, which are read off it."""
    counters = state.counters
    row = {
        "update": counters.update - 1,
        "episodes": counters.episodes,
        "tokens": counters.tokens,
        **reward_metrics(filled.first),
        **shaped.metrics,
        **kl_metrics(scored, signals, stats),
        **anchor_metrics(parts, scored),
        **weight_metrics(scored, batch),
        **dropped_metrics(stats.sums),
        **{f"advantage/{name}": value for name, value in batch.advantage_metrics.items()},
        **policy_metrics(state, signals, stats),
        **gradient_penalty_metrics(stats),
        **objective_metrics(stats),
        **({} if parts.optimizer.target_kl is None else {"policy/epochs": stats.epochs}),
        **({} if parts.critic.grain is None else critic_metrics(parts, batch, stats)),
        **controller_metrics(plan, stats, parts.controller.preview_max_kl is not None),
        **response_metrics(filled.first.rollout),
        **filled.metrics,
        **lag_metrics(scored.rollout, counters.update - 1),
        **({} if parts.guard.remedy is None else guard_metrics(state.recovery)),
        **time_metrics(parts, stats.rollout_tokens + filled.unread_tokens, clock),
    }
    return fetched(row)


def reward_metrics(scored: Judged | Scored) -> dict[str, Tensor]:
    """The reward model's score before any shaping, and the held-out score."""
    reward = scored.reward_seq
    metrics = {
        "reward/mean": reward.mean(),
        "reward/std": wide(reward).std(),
        "reward/min": reward.min(),
        "reward/max": reward.max(),
    }
    return metrics if scored.gold_seq is None else {**metrics, "reward/gold_mean": scored.gold_seq.mean()}


def kl_ref_metrics(scored: Scored, signals: Signals) -> dict[str, Tensor | float | None]:
    """KL to the reference at the rollout, and how likely the reference finds the tokens."""
    k3_tok = k3(scored.logp_old_tok - scored.logp_ref_tok)
    return {
        "response/reference_logp": masked_mean(scored.logp_ref_tok, scored.rollout.mask),
        "kl/ref_token_exact": signals.kl_ref_token_exact,
        "kl/ref_token_k1": signals.kl_ref_token_k1,
        "kl/ref_token_k3": masked_mean(k3_tok, scored.rollout.mask),
        "kl/ref_seq_k1": signals.kl_ref_seq_k1,
    }


def written_metrics(scored: Scored, signals: Signals) -> dict[str, Tensor | float | None]:
    """What every row says of a rollout, also where nothing is trained on it by a loss, under the same names."""
    return {
        **reward_metrics(scored),
        **kl_ref_metrics(scored, signals),
        "policy/entropy_token": signals.entropy_token,
        **response_metrics(scored.rollout),
    }


def kl_metrics(scored: Scored, signals: Signals, stats: UpdateStats) -> dict[str, Tensor | float | None]:
    """KL to the reference at the rollout; KL from the policy that wrote it, over the update's passes."""
    mask, metrics = scored.rollout.mask, dict[str, Tensor]()
    if scored.rollout.logp_rollout_tok is not None:
        # Tokens of the sampling policy: k3 of log(sampling / old) estimates KL(sampling || old) without bias.
        log_ratio_tok = scored.logp_rollout_tok - scored.logp_old_tok
        metrics["kl/rollout_token_k1"] = masked_mean(k1(log_ratio_tok), mask)
        metrics["kl/rollout_token_k3"] = masked_mean(k3(log_ratio_tok), mask)
        metrics["kl/rollout_token_abs"] = masked_mean(log_ratio_tok.abs(), mask)
    return {**metrics, **kl_ref_metrics(scored, signals), "kl/old_token_k3": stats.token_mean("kl_old_k3")}


def anchor_metrics(parts: Components, scored: Scored) -> dict[str, Tensor | float | None]:
    """What a moving reference is to the policy, and how much of it a route of the likeliest tokens sums up."""
    metrics: dict[str, Tensor | float | None] = {**moving_metrics(parts.policy)}
    if scored.kl_moving_tok is not None:
        heard = observe(scored.for_training)
        metrics |= {
            "kl/anchor_token_exact": heard.kl_ref_token_exact,
            "kl/anchor_token_k1": heard.kl_ref_token_k1,
            "kl/anchor_seq_k1": heard.kl_ref_seq_k1,
        }
    if scored.mass_topk_tok is not None:
        metrics["kl/topk_mass"] = masked_mean(scored.mass_topk_tok, scored.rollout.mask)
    return metrics


def policy_metrics(state: TrainState, signals: Signals, stats: UpdateStats) -> dict[str, float]:
    """Entropy at the rollout, and the update's loss, ratio, clipping and gradient."""
    return {
        "policy/entropy_token": signals.entropy_token,
        "policy/loss": stats.pass_mean("policy"),
        "policy/clip_fraction": stats.token_mean("clipped"),
        "policy/ratio_mean": stats.token_mean("ratio"),
        "policy/ratio_max": stats.ratio_max,
        "policy/grad_norm": stats.pass_mean("policy_grad_norm"),
        "policy/lr": float(state.optimizers.policy.param_groups[0]["lr"]),
    }


def gradient_penalty_metrics(stats: UpdateStats) -> dict[str, float]:
    """What the second gradient was like, mean over the optimiser steps; nothing where there was none."""
    return {name: stats.pass_mean(name) for name in stats.sums if name.startswith("gradient_penalty/")}


def objective_metrics(stats: UpdateStats) -> dict[str, float]:
    """The objective's own, over the passes."""
    return {name: stats.token_mean(name) for name in stats.sums if name.startswith("objective/")} | stats.greatest


def critic_metrics(parts: Components, batch: TrainBatch, stats: UpdateStats) -> dict[str, float]:
    """How well the values before the update foretold the returns."""
    counted = batch.value_mask.nonzero(as_tuple=True)
    # In float64: the deviation of equal returns is exactly 0 there, and explains nothing.
    value, returns = wide(parts.critic.combine(batch.heads_old)[counted]), wide(batch.returns[counted])
    error = value - returns
    gap = batch.heads_old.amax(dim=-1) - batch.heads_old.amin(dim=-1)
    found = fetched(
        {
            "bias": error.mean(),
            "error": error.square().mean(),
            "scale": returns.square().mean(),
            "unexplained": error.var(),
            "spread": returns.var(),
            "gap": masked_mean(gap, batch.value_mask),
        }
    )
    metrics = {
        "critic/loss": stats.pass_mean("value"),
        "critic/bias": found["bias"],
        "critic/grad_norm": stats.pass_mean("critic_grad_norm"),
    }
    if found["scale"] > 0:
        metrics["critic/error_ratio"] = found["error"] / found["scale"]
    if found["spread"] > 0:
        metrics["critic/explained_variance"] = 1 - found["unexplained"] / found["spread"]
    if batch.heads_old.shape[-1] > 1:
        metrics["critic/head_gap"] = found["gap"]
    return metrics


def controller_metrics(plan: Plan, stats: UpdateStats, previewed: bool) -> dict[str, Any]:
    """The plan that the update used, or its last one where the controller is stepped every epoch."""
    metrics = {
        "controller/threshold": plan.threshold,
        "controller/penalty": plan.penalty,
        "controller/gate": plan.gate,
        "controller/kl_slope": plan.kl_coef,
        "controller/active": int(plan.active),
        "controller/phase": plan.phase,
        "controller/kl_short": plan.kl_short,
        "controller/kl_long": plan.kl_long,
        "controller/momentum": plan.momentum,
    }
    return {**metrics, "controller/preview_scale": stats.preview_scale} if previewed else metrics


def response_metrics(rollout: Rollout) -> dict[str, Tensor | float]:
    """Length, share that ended, share of distinct responses, share of repeated neighbouring tokens."""
    ids, mask = rollout.ids, rollout.mask
    pairs = mask[:, 1:]
    repeats = (ids[:, 1:] == ids[:, :-1]) & pairs
    return {
        "response/length_mean": rollout.length_seq.float().mean(),
        "response/eos_rate": rollout.ended_seq.float().mean(),
        "response/distinct_rate": len(set(rollout.responses)) / len(rollout.responses),
        "response/repeat_rate": repeats.sum() / pairs.sum().clamp(min=1),
    }


def lag_metrics(rollout: Rollout, update: int) -> dict[str, int]:
    """Updates between the writing of a stale rollout and the one that trained on it."""
    return {} if rollout.written is None else {"response/lag_updates": update - rollout.written}


def guard_metrics(recovery: Recovery) -> dict[str, float]:
    """How often the run went back, and what that has made of the KL penalty; the learning rate has its own metric."""
    return {"guard/rollbacks": len(recovery.rollbacks), "guard/kl_coef_scale": recovery.kl_coef_scale}


def time_metrics(parts: Components, tokens: int, clock: Clock) -> dict[str, float]:
    """Seconds of this update by part, ``tokens`` per second of the whole, share of positions that held one, memory.

    On several ranks the seconds are the first one's, the share is over the positions of all, and the memory is that of
    the rank that needs most.
    """
    total, ranks = clock.total(), parts.ranks
    told = ranks.all((parts.policy.tally.take() if parts.policy.tally else (0, 0), clock.peak_gib()))
    useful, positions = (sum(counts) for counts in zip(*(counts for counts, _ in told), strict=True))
    return {
        **({"speed/useful_share": useful / positions} if positions else {}),
        **{f"time/{name}_s": seconds for name, seconds in clock.spans.items()},
        **({} if (hidden := clock.hidden_share()) is None else {"speed/hidden_share": hidden}),
        **({"time/exchange_s": ranks.taken()} if ranks.size > 1 else {}),
        "time/total_s": total,
        "speed/tokens_per_s": tokens / total,
        "memory/peak_gib": max(peak for _, peak in told),
    }


def sample_records(parts: Components, scored: Judged | Scored, update: int) -> list[dict[str, Any]]:
    """Prompt, response, reward and held-out score of the first responses, every so many updates."""
    options = parts.settings.samples
    last = update == parts.settings.updates - 1
    if options.every == 0 or not (last or update % options.every == 0):
        return []
    rollout, gold = scored.rollout, {} if scored.gold_seq is None else {"gold": scored.gold_seq}
    numbers = {"reward": scored.reward_seq, **gold, "ended": rollout.ended_seq}
    rows = torch.stack([wide(number_seq) for number_seq in numbers.values()], dim=1)[: options.count].tolist()
    return [
        {"prompt": prompt, "response": response, **dict(zip(numbers, row, strict=True)), "ended": bool(row[-1])}
        for prompt, response, row in zip(rollout.prompts.texts, rollout.responses, rows, strict=False)
    ]
