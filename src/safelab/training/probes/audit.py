"""Which terms of the loss reach which weights, and whether a penalty's expected gradient lowers the KL.

A term that is meant to act and has no gradient, or only noise for one, is what SAFE's released penalty and k1 in the
loss have in common: logged, tuned, plotted, and without effect. At the start the KL is zero and no penalty slopes, so
the audit moves the policy away from the reference first, to a KL where any penalty must act.

    g_i       gradient of the penalty in the policy, on a rollout of its own (i = 1 .. n)
    u         direction of the exact KL's gradient, on other rollouts
    t         mean(<g_i, u>) / (deviation(<g_i, u>) / sqrt(n))        acts: t > 3

A t below that says that the penalty does not act where n is at least ``ENOUGH``; below, it says nothing. It ends
early where more rollouts would change nothing: from ``FEW`` on with t > ``T_EARLY``, or without any gradient on two.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from safelab.contracts import GradientPenalty
from safelab.errors import RunFailed
from safelab.maths.masked import masked_mean
from safelab.maths.streams import stream
from safelab.options import State
from safelab.training import rollouts, stages
from safelab.training.components import Components
from safelab.training.gradient_penalty import penalise
from safelab.training.losses import counts, gradient, loss_terms, step_zero
from safelab.training.rewards import score_greedy, score_rewards
from safelab.training.update import backward
from safelab.types import Plan, Rollout, Scored, TrainBatch

T_BOUND = 3.0
"""A chance of 1 in 380 that noise alone passes, on 32 rollouts."""

FEW, T_EARLY = 8, 8.0
"""Rollouts for the direction, and before a clear effect ends the test; of 4 million tests on noise 1 in 17,000 did."""

MOVES = 20
"""Times at most that the policy is moved before it is taken as near enough."""

NEAR = 0.02
"""Of the KL that it is moved to, either way."""

FARTHEST = 100.0
"""In each tensor's own deviations; a policy that is not moved by that is moved by none."""

HALF = 0.5
"""Of the way to its second gradient that a gradient penalty's weights must go: rounding leaves nearly all or none."""

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

    A penalty is judged on at most ``batches`` of them and on ``FEW`` others; any other term on one.
    """
    torch.set_num_threads(parts.settings.threads)
    move_away(parts, target_kl, say)
    first = score(parts, rollout_of(parts, 0))
    plan = parts.controller.plan(settle(parts, first))
    batch = make_batch(parts, first, plan)
    terms = [judge(name, values, parts) for name, values in step_zero(parts, plan, batch).items() if name != "kl"]
    if plan.penalty != 0.0 or plan.kl_coef != 0.0:
        terms.append(judge_penalty(parts, plan, first, batches, say))
    made = parts.optimizer.make(parts.policy.module, parts.critic.module).gradient_penalty
    if made is not None:
        terms.append(judge_gradient_penalty(parts, made, plan, batch))
    return Audit(kl=mean_kl(first), terms=tuple(terms))


def move_away(parts: Components, target_kl: float, say: Callable[[str], None]) -> None:
    """Shift the policy's weights along one random direction until its exact KL to the reference is ``target_kl``.

    Raises:
        RunFailed: no shift reaches it.
    """
    weights = [weight for weight in parts.policy.module.parameters() if weight.requires_grad]
    start = [weight.detach().clone() for weight in weights]
    with stream(parts.settings.seed, "audit", "direction"):
        # In proportion to each tensor's own size, so that no layer is moved much more than the others.
        direction = [torch.randn_like(weight) * size for weight, size in zip(start, sizes(start), strict=True)]

    def kl_at(scale: float) -> float:
        with torch.no_grad():
            for weight, origin, shift in zip(weights, start, direction, strict=True):
                weight.copy_(origin + scale * shift)
        rollout = rollout_of(parts, 0)
        kl = mean_kl(stages.score_tokens(parts, rollout, torch.zeros(len(rollout.ids)), None))
        say(f"moving the policy: {kl:.2g} of {target_kl:g} nats per token")
        return kl

    # The KL grows about as the square of a small shift, and slower later: by that guess, within what is known.
    low, high, scale = 0.0, math.inf, 0.1
    for _ in range(MOVES):
        kl = kl_at(scale)
        if abs(kl / target_kl - 1) <= NEAR:
            return
        low, high = (scale, high) if kl < target_kl else (low, scale)
        guess = scale * math.sqrt(target_kl / kl) if kl > 0 else math.inf
        bound = min(high, 4 * scale)
        scale = guess if low < guess < bound else bound if high == math.inf else (low + high) / 2
        if low > FARTHEST:
            raise RunFailed(
                f"the audit could not move the policy to a KL of {target_kl} nats per token, it came to {kl:.2g}; take "
                "a --kl below that"
            )


def sizes(weights: Sequence[Tensor]) -> list[Tensor]:
    """By what each tensor is moved: the deviation of its own entries.

    A matrix of zeros, as LoRA's B at the start, has none and is moved by the mean of the other matrices'. A vector of
    equal entries (a norm's gain, a bias) stays.
    """
    own = [weight.std().nan_to_num() for weight in weights]
    moved = [size for weight, size in zip(weights, own, strict=True) if weight.dim() > 1 and size > 0]
    common = torch.stack(moved).mean() if moved else torch.ones(())
    return [
        common if weight.dim() > 1 and not weight.any() else size for weight, size in zip(weights, own, strict=True)
    ]


def rollout_of(parts: Components, number: int) -> Rollout:
    """A rollout of its own for each ``number``."""
    prompts = rollouts.draw_prompts(parts, number * rollouts.prompts_per_rollout(parts))
    return rollouts.roll_out(parts, prompts, "audit", number)


def score(parts: Components, rollout: Rollout) -> Scored:
    """The rollout with its rewards, log-probabilities and values."""
    return stages.score_tokens(parts, rollout, *score_rewards(parts, rollout))


def mean_kl(scored: Scored) -> float:
    """Exact KL to the reference, nats per response token."""
    return float(masked_mean(scored.kl_exact_tok, scored.rollout.mask))


def settle(parts: Components, scored: Scored) -> State:
    """The controller after it has heard the same signals long enough for its averages to have arrived."""
    state: State = parts.controller.init()
    signals = stages.observe(scored.for_training)
    for _ in range(SETTLING_STEPS):
        state = parts.controller.step(state, signals)
    return state


def make_batch(parts: Components, scored: Scored, plan: Plan) -> TrainBatch:
    """The training data that an update would make of a rollout, with a fresh normaliser."""
    _, shaped = parts.shaping.step(parts.shaping.init(), scored.rollout, scored.reward_seq)
    greedy_seq = score_greedy(parts, scored.rollout)
    return stages.make_batch(parts, scored, shaped.shaped_seq, plan, greedy_seq)


def judge(name: str, values: Mapping[str, float], parts: Components) -> TermAudit:
    """A term other than the penalty: the policy's and the entropy's must reach the policy, the value's the critic."""
    reached = values["critic_grad_norm"] if name == "value" else values["policy_grad_norm"]
    note = ""
    if name == "value" and values["policy_grad_norm"] > 0:
        note = "also moves the policy (critic.detach=false)"
    return TermAudit(term=name, **values, t=None, acts=reached > 0, note=note if reached > 0 else "has no gradient")


def judge_gradient_penalty(parts: Components, made: GradientPenalty, plan: Plan, batch: TrainBatch) -> TermAudit:
    """What the second gradient adds to the first acts if the weights went the step on which it was taken."""
    module = parts.policy.module
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    again = partial(backward, parts, plan, batch, counts(batch), objective=parts.objective.init(), inputs=weights)
    again()
    found = penalise(module, made, again, parts.settings.seed)
    module.zero_grad(set_to_none=True)
    length, share, moved = (float(found[f"gradient_penalty/{name}"]) for name in ("norm", "share", "moved"))
    length = length if made.clip is None else min(length, made.clip)
    acts = share > 0 and moved > HALF
    note = (
        f"adds {share:.2g} of the gradient's length" if acts else f"rounding took its step: {moved:.2g} of it is left"
    )
    value = 0.5 * made.coef * length**2
    name = "gradient penalty" if made.direction == "gradient" else "gradient penalty (random direction, a control)"
    return TermAudit(
        term=name, value=value, policy_grad_norm=share * length, critic_grad_norm=0.0, t=None, acts=acts, note=note
    )


def judge_penalty(parts: Components, plan: Plan, first: Scored, batches: int, say: Callable[[str], None]) -> TermAudit:
    """The KL penalty acts if it pushes the KL down beyond its noise, on ``first`` and other rollouts.

    One gradient at a time: as many of a large model would not fit into memory.
    """
    common: dict[str, Any] = {"term": f"kl penalty ({parts.controller.route.name})", "value": plan.penalty}

    def pushed(number: int) -> Tensor:
        say(f"the penalty's gradient: rollout {number + 1} of at most {batches}")
        return penalty_gradient(parts, plan, first if number == 0 else score(parts, rollout_of(parts, number)))

    total = pushed(0)
    # One plan holds for all of them: what has no gradient on two of them has none.
    if not total.any() and not pushed(1).any():
        note = "has no gradient: it reaches no weight"
        return TermAudit(**common, policy_grad_norm=0.0, critic_grad_norm=0.0, t=0.0, acts=False, note=note)
    towards = _zeros(parts)
    for number in range(others := min(FEW, batches)):
        say(f"the KL's own gradient: rollout {number + 1} of {others}")
        towards += exact_gradient(parts, rollout_of(parts, batches + number))
    towards /= towards.norm()
    found = [total @ towards]
    while len(found) < batches and not (len(found) >= FEW and t_of(torch.stack(found)) > T_EARLY):
        one = pushed(len(found))
        total += one
        found.append(one @ towards)
    along, norm = torch.stack(found), float(total.norm() / len(found))
    t = t_of(along)
    acts = True if t > T_BOUND else None if t > -T_BOUND and len(along) < ENOUGH else False
    unseen = f"on {len(along)} rollouts its gradient is not seen to lower the KL: "
    few = f"too few to say whether it does, take --batches of at least {ENOUGH}"
    note = "" if acts else unseen + (few if acts is None else "noise, or too weak for so few (--batches)")
    return TermAudit(**common, policy_grad_norm=norm, critic_grad_norm=0.0, t=t, acts=acts, note=note)


def t_of(along: Tensor) -> float:
    """How many standard errors the mean lies above 0."""
    return float(along.mean() / (along.std() / math.sqrt(len(along))))


def exact_gradient(parts: Components, rollout: Rollout) -> Tensor:
    """Gradient of the full-vocabulary KL of a rollout's tokens."""
    model, reference = parts.policy.model, parts.policy.reference
    place = (rollout.prompts.ids, rollout.prompts.mask, rollout.ids, rollout.mask)
    with torch.no_grad():
        hidden_ref = reference.hidden(*place)[:, :-1]
    stats = model.token_stats(model.hidden(*place)[:, :-1], rollout.ids, (reference, hidden_ref), mask=rollout.mask)
    assert stats.kl_exact_tok is not None
    return gradient(masked_mean(stats.kl_exact_tok, rollout.mask), parts.policy.module)


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
