"""The loss of a micro-batch: policy + value + KL route - entropy, each a sum over a count of the whole minibatch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from safelab.contracts import critic_states
from safelab.contracts.answers import check_tensor, check_type
from safelab.maths.divergence import clamp_log_ratio, k1, k3
from safelab.maths.masked import masked_sum
from safelab.options import State
from safelab.training.components import Components
from safelab.training.corrections import dropped_responses, dropped_sums
from safelab.training.moving import held_to
from safelab.types import Counts, Current, Pass, Plan, PolicyLoss, TokenStats, TopK, TrainBatch


def counts(batch: TrainBatch) -> Counts:
    """Sequences, valid tokens, all response columns, and values of a batch."""
    return counts_of_each(batch, [None])[0]


def counts_of_each(batch: TrainBatch, minibatches: Sequence[Int[Tensor, "_"] | None]) -> list[Counts]:
    """The same of each minibatch, by its rows (None stands for all), with one wait for the device."""
    held = torch.stack([batch.mask.sum(dim=1), batch.value_mask.sum(dim=1)])
    chosen = [held if rows is None else held[:, rows] for rows in minibatches]
    sums = torch.stack([rows.sum(dim=1) for rows in chosen]).tolist()
    width = batch.mask.shape[1]
    return [
        Counts(sequences=rows.shape[1], tokens=tokens, columns=rows.shape[1] * width, values=values)
        for rows, (tokens, values) in zip(chosen, sums, strict=True)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms of the loss as they are added up, and what one pass shows of ratio and clipping.

    ``weighted`` are the terms that carry gradient, by name, each with its coefficient; their sum is the loss.
    ``policy``, ``value``, ``kl``, ``entropy`` are the same without coefficients or gradient. The other sums are over
    response tokens; ``objective`` holds those of the objective's own metrics, ``greatest`` its greatest values,
    ``correction`` sums over responses where some may be left out.
    """

    weighted: dict[str, Float[Tensor, ""]]
    policy: Float[Tensor, ""]
    value: Float[Tensor, ""]
    kl: Float[Tensor, ""]
    entropy: Float[Tensor, ""]
    ratio_sum: Float[Tensor, ""]
    ratio_max: Float[Tensor, ""]
    clipped_sum: Float[Tensor, ""]
    kl_old_k3_sum: Float[Tensor, ""]
    kl_ref_k1_sum: Float[Tensor, ""]
    objective: dict[str, Float[Tensor, ""]]
    greatest: dict[str, Float[Tensor, ""]]
    correction: dict[str, Float[Tensor, ""]]

    @property
    def total(self) -> Float[Tensor, ""]:
        """The loss."""
        return torch.stack(list(self.weighted.values())).sum()


def loss_terms(
    parts: Components,
    plan: Plan,
    batch: TrainBatch,
    whole: Counts,
    *,
    objective: State,
    train_policy: bool = True,
    seen: Pass | None = None,
    seed: int = 0,
) -> Terms:
    """Forward pass and loss of ``batch``, which is a minibatch or a piece of one (``whole`` counts the minibatch).

        total = policy + coef_v value + kl_coef KL - coef_e H      (the KL only where its route leads into the loss)

    With ``train_policy`` False only the critic's term is there (its warm-up). ``seen`` is the forward pass, if it
    was made already and no weight has moved since. ``objective``: its state; ``seed``: of what it draws.
    """
    route = parts.controller.route
    hidden, stats = forward(parts, plan, batch) if seen is None else (seen.hidden, seen.stats)
    log_ratio_tok = stats.logp_tok - batch.logp_old_tok
    log_ratio_ref_tok = stats.logp_tok - batch.logp_ref_tok

    told = objective_loss(parts, objective, current(parts, hidden, stats, batch.ids, seed), batch)
    dropped_seq = dropped_responses(parts, stats.logp_tok, batch)
    if dropped_seq is not None:
        told = replace(told, loss_tok=told.loss_tok.masked_fill(dropped_seq.unsqueeze(1), 0.0))
    policy = parts.aggregation.reduce(told.loss_tok, batch.mask, whole)
    check_tensor("aggregation", parts.aggregation, "reduce", policy, (), learns=told.loss_tok.requires_grad)
    kl_tok = route_kl(parts, plan, batch, hidden, stats)
    kl = masked_sum(kl_tok, batch.mask) / whole.tokens
    entropy = _entropy(parts.objective.entropy_positions, stats.entropy_tok, batch, whole)

    weighted, value = {}, torch.zeros((), device=policy.device)
    if parts.critic.grain is not None:
        inputs = (batch.prompt_ids, batch.prompt_mask, batch.ids, batch.mask)
        states = critic_states(parts.critic, hidden if train_policy else hidden.detach(), *inputs)
        heads = parts.critic.heads(states, batch.mask)
        error = parts.critic.loss(heads, batch.heads_old, batch.returns)
        check_tensor("critic", parts.critic, "loss", error, tuple(batch.returns.shape), learns=heads.requires_grad)
        value = masked_sum(error, batch.value_mask) / whole.values
        weighted["value"] = parts.critic.coef * value
    if train_policy:
        weighted["policy"] = policy
        if parts.objective.entropy_coef > 0.0:
            weighted["entropy"] = -parts.objective.entropy_coef * entropy
        if route.in_loss and plan.kl_coef != 0.0:
            weighted["kl"] = plan.kl_coef * kl
    with torch.no_grad():
        ratio_tok = clamp_log_ratio(log_ratio_tok).exp()
        clipped_tok = torch.zeros_like(batch.mask) if told.clipped_tok is None else told.clipped_tok
        return Terms(
            weighted=weighted,
            policy=policy.detach(),
            value=value.detach(),
            kl=kl.detach(),
            entropy=entropy.detach(),
            ratio_sum=masked_sum(ratio_tok, batch.mask),
            ratio_max=greatest(ratio_tok, batch),
            clipped_sum=masked_sum(clipped_tok.float(), batch.mask),
            # Tokens of the old policy: k3 of log(old / new) estimates KL(old || new) without bias.
            kl_old_k3_sum=masked_sum(k3(-log_ratio_tok), batch.mask),
            kl_ref_k1_sum=masked_sum(log_ratio_ref_tok, batch.mask),
            objective=objective_sums(told, batch, whole),
            greatest={name: greatest(value_tok, batch) for name, value_tok in told.greatest_tok.items()},
            correction=dropped_sums(dropped_seq, stats.logp_tok, batch),
        )


def route_kl(parts: Components, plan: Plan, batch: TrainBatch, hidden: Tensor, stats: TokenStats) -> Tensor:
    """The KL of each token as the route has it; of the likeliest tokens only where its gradient is wanted."""
    route, shape = parts.controller.route, tuple(batch.mask.shape)
    log_ratio_ref_tok = stats.logp_tok - batch.logp_ref_tok
    # The ratio to whoever wrote the tokens: on stale rollouts, or another engine's, that is not the old policy.
    log_ratio_tok = stats.logp_tok - batch.logp_rollout_tok
    if batch.ids_topk is not None and batch.logp_ref_topk is not None and plan.kl_coef != 0.0:
        topk = TopK(
            logp=parts.policy.model.log_probs_of(hidden[:, :-1], batch.ids_topk),
            logp_ref=batch.logp_ref_topk,
            inside_tok=(batch.ids_topk == batch.ids.unsqueeze(-1)).any(dim=-1),
        )
        kl_tok = route.kl_topk_tok(topk, log_ratio_ref_tok, log_ratio_tok)
        check_tensor("controller/route", route, "kl_topk_tok", kl_tok, shape)
        return kl_tok
    exact_tok = k1(log_ratio_ref_tok) if stats.kl_exact_tok is None else stats.kl_exact_tok
    kl_tok = route.kl_tok(exact_tok, log_ratio_ref_tok, log_ratio_tok)
    check_tensor("controller/route", route, "kl_tok", kl_tok, shape)
    return kl_tok


def objective_sums(told: PolicyLoss, batch: TrainBatch, whole: Counts) -> dict[str, Float[Tensor, ""]]:
    """The objective's own metrics as sums that, over the minibatch's response tokens, are their means."""
    of_tokens = {name: masked_sum(value_tok, batch.mask) for name, value_tok in told.metrics_tok.items()}
    per_response = whole.tokens / whole.sequences
    return of_tokens | {name: value_seq.sum() * per_response for name, value_seq in told.metrics_seq.items()}


def greatest(value_tok: Float[Tensor, "b t"], batch: TrainBatch) -> Float[Tensor, ""]:
    """The greatest value of any response token."""
    return value_tok.masked_fill(~batch.mask, -torch.inf).max()


def objective_loss(parts: Components, state: State, now: Current, batch: TrainBatch) -> PolicyLoss:
    """What the objective answers, each token's loss times its weight where a correction gives one.

    Raises:
        ConfigError: it is no loss per token with a gradient.
    """
    made, shape = parts.objective, tuple(batch.mask.shape)
    told = made.loss(state, now, batch)
    check_type("objective", made, "loss", told, PolicyLoss)
    check_tensor("objective", made, "loss_tok", told.loss_tok, shape, learns=now.logp_tok.requires_grad)
    if told.clipped_tok is not None:
        check_tensor("objective", made, "clipped_tok", told.clipped_tok, shape)
    for name, metric_tok in told.metrics_tok.items():
        check_tensor("objective", made, f"metrics_tok[{name!r}]", metric_tok, shape)
    for name, value_tok in told.greatest_tok.items():
        check_tensor("objective", made, f"greatest_tok[{name!r}]", value_tok, shape)
    for name, metric_seq in told.metrics_seq.items():
        check_tensor("objective", made, f"metrics_seq[{name!r}]", metric_seq, shape[:1])
    return told if batch.weight_tok is None else replace(told, loss_tok=batch.weight_tok * told.loss_tok)


def current(parts: Components, hidden: Tensor, stats: TokenStats, ids: Tensor, seed: int) -> Current:
    """What the objective sees of the policy as it is now; distributions and logits only where it needs them."""
    model, needs = parts.policy.model, parts.objective.needs
    return Current(
        logp_tok=stats.logp_tok,
        logp_vocab=model.log_probs(hidden[:, :-1]) if "full_logits" in needs else None,
        logit_tok=model.sampled_logit(hidden[:, :-1], ids) if "sampled_logit" in needs else None,
        seed=seed,
    )


def forward(parts: Components, plan: Plan, batch: TrainBatch) -> tuple[Tensor, TokenStats]:
    """Hidden states and token statistics of the policy; the exact KL only where its gradient is wanted."""
    model = parts.policy.model
    hidden = model.hidden(batch.prompt_ids, batch.prompt_mask, batch.ids, batch.mask)
    exact = parts.controller.route.needs_exact and plan.kl_coef != 0.0
    reference = (held_to(parts.policy), batch.hidden_ref) if exact else None
    return hidden, model.token_stats(hidden[:, :-1], batch.ids, reference, mask=batch.mask)


def _entropy(positions: str, entropy_tok: Tensor, batch: TrainBatch, whole: Counts) -> Float[Tensor, ""]:
    if positions == "all":
        return entropy_tok.sum() / whole.columns
    return masked_sum(entropy_tok, batch.mask) / whole.tokens


def step_zero(
    parts: Components, plan: Plan, batch: TrainBatch, seen: Pass | None = None
) -> dict[str, dict[str, float]]:
    """The cheap part, for every run's first update: value and gradient norms of each term that is in the loss."""
    weighted = loss_terms(parts, plan, batch, counts(batch), objective=parts.objective.init(), seen=seen).weighted
    return {name: norms(parts, value) for name, value in weighted.items()}


def norms(parts: Components, value: Tensor) -> dict[str, float]:
    """Value of a term and the norms of its gradient in policy and critic."""
    return {
        "value": float(value.detach()),
        "policy_grad_norm": float(gradient(value, parts.policy.module).norm()),
        "critic_grad_norm": float(gradient(value, parts.critic.module).norm()),
    }


def gradient(value: Tensor, module: nn.Module) -> Tensor:
    """D value / d weights of ``module``, flat; zeros where no path leads there."""
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    if not value.requires_grad or not weights:
        return torch.zeros(sum(weight.numel() for weight in weights))
    found = torch.autograd.grad(value, weights, retain_graph=True, allow_unused=True)
    flat = [torch.zeros_like(weight) if part is None else part for weight, part in zip(weights, found, strict=True)]
    return torch.cat([part.flatten() for part in flat]).cpu()
