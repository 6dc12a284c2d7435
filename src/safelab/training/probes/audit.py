"""Which terms of the loss reach which weights, and whether a penalty's expected gradient lowers the KL.

A term that is meant to act and has no gradient, or only noise for one, is what SAFE's released penalty and k1 in the
loss have in common: logged, tuned, plotted, and without effect. At the start the KL is zero and no penalty slopes, so
the audit moves the policy away from the reference first, to a KL where any penalty must act.

    g_i       gradient of the penalty in the policy, on a rollout of its own (i = 1 .. n)
    u         direction of the exact KL's gradient, on other rollouts
    t         mean(<g_i, u>) / (deviation(<g_i, u>) / sqrt(n))        acts: t > 3

A t below that says that the penalty does not act where n is at least ``ENOUGH``; below, it says nothing.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from safelab.errors import RunFailed
from safelab.maths.masked import masked_mean
from safelab.maths.streams import stream
from safelab.options import State
from safelab.training import stages
from safelab.training.components import Components
from safelab.training.losses import counts, gradient, loss_terms, step_zero
from safelab.types import Plan, Scored, TrainBatch

T_BOUND = 3.0
"""A chance of about one in a thousand that noise alone passes."""

ENOUGH = 32
"""Rollouts from which on a penalty whose effect is not seen is said to have none."""

SETTLING_STEPS = 200
"""Controller steps on the same signals, after which its averages and windows have settled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TermAudit:
    """One term: its weighted value, what of its gradient reaches policy and critic, and what is to be said of it.

    ``t``: the test above, for a KL penalty; None for other terms. ``acts`` is False for a term that is meant to act
    and does not, None where there were too few rollouts to tell.
    """

    term: str
    value: float
    policy_grad_norm: float
    critic_grad_norm: float
    t: float | None
    acts: bool | None
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """All terms, at the KL (nats per token) to which the policy was moved."""

    kl: float
    terms: tuple[TermAudit, ...]

    @property
    def passed(self) -> bool:
        """Whether every term that is meant to act is seen to."""
        return all(term.acts for term in self.terms)


def audit(parts: Components, target_kl: float, batches: int, say: Callable[[str], None]) -> Audit:
    """Audit a run's loss on rollouts of a policy ``target_kl`` nats per token from the reference.

    A penalty is judged on ``batches`` of them and on as many others; any other term on one.
    """
    torch.set_num_threads(parts.settings.threads)
    move_away(parts, target_kl)
    first = score(parts, 0)
    plan = parts.controller.plan(settle(parts, first))
    batch = make_batch(parts, first, plan)
    terms = [judge(name, values, parts) for name, values in step_zero(parts, plan, batch).items() if name != "kl"]
    if plan.penalty != 0.0 or plan.kl_coef != 0.0:
        say("penalty")
        scored = [first, *(score(parts, number) for number in range(1, 2 * batches))]
        terms.append(judge_penalty(parts, plan, scored[:batches], scored[batches:]))
    return Audit(kl=mean_kl(first), terms=tuple(terms))


def move_away(parts: Components, target_kl: float) -> None:
    """Shift the policy's weights along one random direction until its exact KL to the reference is ``target_kl``.

    Raises:
        RunFailed: no shift reaches it.
    """
    weights = [weight for weight in parts.policy.module.parameters() if weight.requires_grad]
    start = [weight.detach().clone() for weight in weights]
    with stream(parts.settings.seed, "audit", "direction"):
        # In proportion to each tensor's own size, so that no layer is moved much more than the others.
        direction = [torch.randn_like(weight) * weight.std().nan_to_num() for weight in start]

    def kl_at(scale: float) -> float:
        with torch.no_grad():
            for weight, origin, shift in zip(weights, start, direction, strict=True):
                weight.copy_(origin + scale * shift)
        return mean_kl(score(parts, 0))

    low, high = 0.0, 0.05
    while kl_at(high) < target_kl:
        low, high = high, 2 * high
        if high > 100:
            raise RunFailed(f"the audit could not move the policy to a KL of {target_kl} nats per token; lower --kl")
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if kl_at(middle) < target_kl else (low, middle)
    kl_at(high)


def score(parts: Components, number: int) -> Scored:
    """A rollout of its own for each ``number``, scored."""
    prompts = stages.draw_prompts(parts, number * stages.prompts_per_rollout(parts))
    rollout = stages.roll_out(parts, prompts, "audit", number)
    reward_seq, gold_seq = stages.score_rewards(parts, rollout)
    return stages.score_tokens(parts, rollout, reward_seq, gold_seq)


def mean_kl(scored: Scored) -> float:
    """Exact KL to the reference, nats per response token."""
    return float(masked_mean(scored.kl_exact_tok, scored.rollout.mask))


def settle(parts: Components, scored: Scored) -> State:
    """The controller after it has heard the same signals long enough for its averages to have arrived."""
    state: State = parts.controller.init()
    signals = stages.observe(scored)
    for _ in range(SETTLING_STEPS):
        state = parts.controller.step(state, signals)
    return state


def make_batch(parts: Components, scored: Scored, plan: Plan) -> TrainBatch:
    """The training data that an update would make of a rollout, with a fresh normaliser."""
    _, shaped = parts.shaping.step(parts.shaping.init(), scored.rollout, scored.reward_seq)
    greedy_seq = stages.score_greedy(parts, scored.rollout)
    return stages.make_batch(parts, scored, shaped.shaped_seq, plan, greedy_seq)


def judge(name: str, values: Mapping[str, float], parts: Components) -> TermAudit:
    """A term other than the penalty: the policy's and the entropy's must reach the policy, the value's the critic."""
    reached = values["critic_grad_norm"] if name == "value" else values["policy_grad_norm"]
    note = ""
    if name == "value" and values["policy_grad_norm"] > 0:
        note = "also moves the policy (critic.detach=false)"
    return TermAudit(term=name, **values, t=None, acts=reached > 0, note=note if reached > 0 else "has no gradient")


def judge_penalty(parts: Components, plan: Plan, judged: list[Scored], others: list[Scored]) -> TermAudit:
    """The KL penalty acts if it pushes the KL down beyond its noise."""
    exact = torch.stack([exact_gradient(parts, scored) for scored in others]).mean(dim=0)
    towards = exact / exact.norm()
    gradients = torch.stack([penalty_gradient(parts, plan, scored) for scored in judged])
    norm = float(gradients.mean(dim=0).norm())
    common: dict[str, Any] = {"term": f"kl penalty ({parts.controller.route.name})", "value": plan.penalty}
    if not gradients.any():
        note = "has no gradient: it reaches no weight"
        return TermAudit(**common, policy_grad_norm=0.0, critic_grad_norm=0.0, t=0.0, acts=False, note=note)
    along = gradients @ towards
    t = float(along.mean() / (along.std() / math.sqrt(len(along))))
    acts = True if t > T_BOUND else None if t > -T_BOUND and len(along) < ENOUGH else False
    unseen = f"on {len(along)} rollouts its gradient is not seen to lower the KL: "
    few = f"too few to say whether it does, take --batches of at least {ENOUGH}"
    note = "" if acts else unseen + (few if acts is None else "noise, or too weak for so few (--batches)")
    return TermAudit(**common, policy_grad_norm=norm, critic_grad_norm=0.0, t=t, acts=acts, note=note)


def exact_gradient(parts: Components, scored: Scored) -> Tensor:
    """Gradient of the full-vocabulary KL of a rollout's tokens."""
    batch = make_batch(parts, scored, replace(_no_plan(parts), kl_coef=0.0))
    hidden = parts.policy.model.hidden(batch.prompt_ids, batch.prompt_mask, batch.ids, batch.mask)
    stats = parts.policy.model.token_stats(hidden[:, :-1], batch.ids, (parts.policy.reference, batch.hidden_ref))
    assert stats.kl_exact_tok is not None
    return gradient(masked_mean(stats.kl_exact_tok, batch.mask), parts.policy.module)


def penalty_gradient(parts: Components, plan: Plan, scored: Scored) -> Tensor:
    """What the penalty adds to the policy's gradient on one rollout: with the plan, less without its coefficient."""
    route = parts.controller.route
    carriers = [name for name, carries in (("policy", route.in_reward), ("kl", route.in_loss)) if carries]

    def whole(used: Plan) -> Tensor:
        batch = make_batch(parts, scored, used)
        weighted = loss_terms(parts, used, batch, counts(batch), objective=parts.objective.init()).weighted
        found = [gradient(weighted[name], parts.policy.module) for name in carriers if name in weighted]
        return sum(found, _zeros(parts))

    # Without its coefficient the penalty is no term of the loss; only what comes by the reward has company there.
    return whole(plan) - (whole(replace(plan, kl_coef=0.0)) if route.in_reward else _zeros(parts))


def _zeros(parts: Components) -> Tensor:
    return torch.zeros(sum(weight.numel() for weight in parts.policy.module.parameters() if weight.requires_grad))


def _no_plan(parts: Components) -> Plan:
    return parts.controller.plan(parts.controller.init())
