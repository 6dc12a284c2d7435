"""Moves the weights: epochs over one rollout, minibatches, accumulation, gradient limits, the preview's cap."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from safelab.maths.divergence import k3
from safelab.maths.fetched import fetched
from safelab.maths.masked import masked_mean
from safelab.maths.seeds import derive_seed, generator
from safelab.ranks import Ranks, is_part, local
from safelab.training.components import Components
from safelab.training.finite import refuse_non_finite
from safelab.training.gradient_penalty import penalise
from safelab.training.losses import Terms, counts_of_each, loss_terms
from safelab.training.pieces import rollout_pieces, slices
from safelab.training.state import TrainState
from safelab.types import Counts, Pass, Plan, Rollout, TrainBatch

Cut = tuple[Int[Tensor, "_"] | None, Counts]
"""A minibatch's rows, where None stands for the whole batch as it is, and what it counts."""


@dataclass(slots=True)
class UpdateStats:
    """Sums over the passes of one update; each mean is sum over count, so cutting and padding do not change it."""

    passes: int = 0
    tokens: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    ratio_max: float = 0.0
    greatest: dict[str, float] = field(default_factory=dict)
    first_ratio_error: float = math.nan
    preview_scale: float = 1.0
    epochs: int = 0

    def add(self, terms: "MinibatchTerms") -> None:
        """One more minibatch."""
        if self.passes == 0:
            # Before any step the ratio is 1 but for rounding: the step-0 check reads this.
            self.first_ratio_error = abs(terms.sums["ratio"] / terms.tokens - 1.0)
        self.passes += 1
        self.tokens += terms.tokens
        self.ratio_max = max(self.ratio_max, terms.ratio_max)
        for name, value in terms.sums.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        for name, value in terms.greatest.items():
            self.greatest[name] = max(self.greatest.get(name, -math.inf), value)

    @property
    def rollout_tokens(self) -> int:
        """Response tokens of the rollout, all of which each epoch sees once."""
        return self.tokens // self.epochs

    def token_mean(self, name: str) -> float:
        """Mean over the response tokens of all passes."""
        return self.sums[name] / self.tokens

    def pass_mean(self, name: str) -> float:
        """Mean over minibatches of what is one number per minibatch."""
        return self.sums[name] / self.passes


@dataclass(frozen=True, slots=True, kw_only=True)
class MinibatchTerms:
    """One minibatch's terms as plain numbers, its pieces added up, and the gradient norms before any limit."""

    tokens: int
    ratio_max: float
    sums: dict[str, float]
    greatest: dict[str, float] = field(default_factory=dict)


def pass_means(terms: list[MinibatchTerms], prefix: str) -> dict[str, float]:
    """Means over the response tokens of a pass of the sums whose names begin with ``prefix``, without it."""
    tokens = sum(minibatch.tokens for minibatch in terms)
    return {
        name.removeprefix(prefix): sum(minibatch.sums[name] for minibatch in terms) / tokens
        for name in terms[0].sums
        if name.startswith(prefix)
    }


def run_epoch(
    parts: Components,
    state: TrainState,
    batch: TrainBatch,
    plan: Plan,
    epoch: int,
    cut: Sequence[Cut],
    stats: UpdateStats,
    seen: Pass | None = None,
) -> list[MinibatchTerms]:
    """One pass over the batch: an optimiser step per minibatch. Returns each one's terms.

    ``cut``: the minibatches, of ``cuts``. ``seen``: the forward pass over the whole batch, if it was made already (see
    ``reuses_pass``).
    """
    train_policy = state.counters.update >= parts.critic.warmup_updates
    terms = []
    update = state.counters.update
    for number, (rows, whole) in enumerate(cut):
        minibatch = own_rows(parts, batch, rows)
        own = [parts.ranks.rank] if parts.ranks.rank else []  # other rows, other draws
        seed = derive_seed(parts.settings.seed, "objective", update, epoch, number, *own)
        terms.append(step(parts, state, minibatch, whole, plan, train_policy, seen, seed))
        stats.add(terms[-1])
    return terms


def own_rows(parts: Components, batch: TrainBatch, rows: Int[Tensor, "_"] | None = None) -> TrainBatch:
    """What of a minibatch this rank trains on, by its rows (None stands for the whole batch)."""
    if rows is not None:
        return batch.rows(parts.ranks.share(rows))
    return batch if parts.ranks.size == 1 else batch.rows(parts.ranks.own(len(batch)))


def reuses_pass(parts: Components, rollout: Rollout) -> bool:
    """Whether the pass that scores the rollout is also the first that trains: an update is one batch in one piece."""
    return parts.optimizer.minibatches == 1 and len(rollout_pieces(parts, rollout)) == 1


def cuts(parts: Components, batch: TrainBatch, update: int) -> list[list[Cut]]:
    """The minibatches of each epoch of an update; waits once for the device, and no epoch does again."""
    of_epochs = [
        minibatches(parts, len(batch), update, epoch, batch.ids.device) for epoch in range(parts.optimizer.epochs)
    ]
    told = iter(counts_of_each(batch, [rows for epoch in of_epochs for rows in epoch]))
    return [[(rows, next(told)) for rows in epoch] for epoch in of_epochs]


def minibatches(
    parts: Components, size: int, update: int, epoch: int, device: torch.device
) -> Sequence[Int[Tensor, "_"] | None]:
    """Rows of each minibatch, shuffled by seed, update and epoch; None stands for the whole batch as it is."""
    if parts.optimizer.minibatches == 1:
        return [None]
    order = torch.randperm(size, generator=generator(parts.settings.seed, "minibatches", update, epoch))
    return order.to(device).tensor_split(parts.optimizer.minibatches)


def step(
    parts: Components,
    state: TrainState,
    minibatch: TrainBatch,
    whole: Counts,
    plan: Plan,
    train_policy: bool,
    seen: Pass | None,
    seed: int,
) -> MinibatchTerms:
    """Backward pass of a minibatch, piece by piece, and one step of both optimisers; waits once for the device.

    ``minibatch``: this rank's part of the minibatch that ``whole`` counts.

    Raises:
        Diverged: a loss or a gradient is not finite; no weight has moved then.
    """
    optimizers = state.optimizers
    differentiate = partial(
        backward, parts, plan, minibatch, whole, objective=state.objective, train_policy=train_policy, seed=seed
    )
    pieces = differentiate(seen=seen)
    parts.ranks.add_gradients(state.policy, *([] if optimizers.critic is None else [state.critic]))
    penalised = {}
    if train_policy and optimizers.gradient_penalty is not None:

        def again() -> None:
            """No pass was made yet at the weights as they are now, and the critic's gradient stays."""
            differentiate(inputs=[weight for weight in state.policy.parameters() if weight.requires_grad])
            parts.ranks.add_gradients(state.policy)

        # One direction on all ranks, though each has draws of its own.
        penalised = penalise(state.policy, optimizers.gradient_penalty, again, parts.ranks.told(seed))
    norms = {"policy_grad_norm": limit_gradient(parts.ranks, state.policy, optimizers.policy_max_grad_norm)}
    if optimizers.critic is not None:
        norms["critic_grad_norm"] = limit_gradient(parts.ranks, state.critic, optimizers.critic_max_grad_norm)
    measured = gather(parts.ranks, pieces, whole, {**norms, **penalised})
    # In the order in which one makes the next, so that the first is the cause.
    for name in dict.fromkeys(("policy", "value", *pieces[0].weighted, *norms, *penalised)):
        refuse_non_finite(name, measured.sums[name], state.counters.update)
    if train_policy:
        optimizers.policy.step()
    # Gradients are not kept until the next step: a rollout and a scoring pass come before it, and would find less room.
    optimizers.policy.zero_grad(set_to_none=True)
    if optimizers.critic is not None:
        optimizers.critic.step()
        optimizers.critic.zero_grad(set_to_none=True)
    parts.critic.after_step()
    return measured


def backward(
    parts: Components,
    plan: Plan,
    minibatch: TrainBatch,
    whole: Counts,
    *,
    inputs: Sequence[Tensor] | None = None,
    **given: Any,
) -> list[Terms]:
    """The gradients of a minibatch's loss, piece by piece; ``inputs``: of these weights alone, None for of all.

    ``given``: to ``loss_terms``.
    """
    pieces = []
    for piece in micro_batches(parts, minibatch):
        terms = loss_terms(parts, plan, piece, whole, **given)
        terms.total.backward(inputs=inputs)  # type: ignore[no-untyped-call]
        pieces.append(terms)
    return pieces


def micro_batches(parts: Components, minibatch: TrainBatch) -> Iterator[TrainBatch]:
    """What goes through the model together, in order."""
    size, tokens = parts.optimizer.micro_batch_size, parts.optimizer.micro_batch_tokens
    together = parts.rollout.samples_per_prompt if "groups_together" in parts.objective.needs else 1
    for rows in slices(size, tokens, minibatch.prompt_mask, minibatch.mask, together=together):
        yield minibatch if rows is None else minibatch.rows(rows)


def limit_gradient(ranks: Ranks, module: nn.Module, max_norm: float | None) -> Float[Tensor, ""]:
    """The gradient's norm over all weights, and the gradient scaled down to ``max_norm`` if it is longer."""
    limit = math.inf if max_norm is None else max_norm
    gradients = [weight.grad for weight in module.parameters() if weight.grad is not None]
    if not any(map(is_part, gradients)):
        return nn.utils.clip_grad_norm_(module.parameters(), limit)
    norm = ranks.norm(gradients)
    for gradient in gradients:
        local(gradient).mul_((limit / (norm + 1e-6)).clamp(max=1.0))  # as torch's own does
    return norm


def gather(ranks: Ranks, pieces: list[Terms], whole: Counts, norms: dict[str, Tensor]) -> MinibatchTerms:
    """The sums of all ranks' pieces, and the norms; one transfer from the device for all of them."""
    fixed = ("policy", "value", "kl", "entropy", "ratio_sum", "clipped_sum", "kl_old_k3_sum", "kl_ref_k1_sum")
    own = [(group, name) for group in ("objective", "correction") for name in getattr(pieces[0], group)]
    rows = [
        [
            *(getattr(piece, name) for name in fixed),
            *(getattr(piece, group)[name].to(piece.policy) for group, name in own),
        ]
        for piece in pieces
    ]
    added = ranks.whole(torch.stack([torch.stack(row) for row in rows])).sum(dim=0)
    names = [*(name.removesuffix("_sum") for name in fixed), *(f"{group}/{name}" for group, name in own)]
    most = ("ratio_max", *(f"objective/{name}_max" for name in pieces[0].greatest))
    tops = [
        torch.stack([piece.ratio_max, *(top.to(piece.ratio_max) for top in piece.greatest.values())])
        for piece in pieces
    ]
    highest = ranks.whole(torch.stack(tops)).amax(dim=0)
    sums = fetched({**dict(zip(most, highest, strict=True)), **dict(zip(names, added, strict=True)), **norms})
    found = {name: sums.pop(name) for name in most}
    return MinibatchTerms(tokens=whole.tokens, ratio_max=found.pop("ratio_max"), sums=sums, greatest=found)


def weights_of(module: nn.Module) -> list[Tensor]:
    """A copy of the weights that train, for the preview to go back to."""
    return [weight.detach().clone() for weight in module.parameters() if weight.requires_grad]


@torch.no_grad()
def cap_update(parts: Components, before: list[Tensor], batch: TrainBatch, max_kl: float) -> float:
    """Scale the update back towards ``before`` until KL(old || new) is at most ``max_kl``; returns the scale.

        theta <- theta_old + s (theta_new - theta_old),   s = min(1, max_kl / KL), repeated while KL is above the cap

    KL grows about as s^2, so one round is nearly always enough; a tenth that fails leaves the old weights.
    """
    scale = 1.0
    trained = [weight for weight in parts.policy.module.parameters() if weight.requires_grad]
    for _ in range(10):
        kl = update_kl(parts, batch)
        if kl <= max_kl:
            return scale
        shrink = max_kl / kl if math.isfinite(kl) else 0.0
        scale *= shrink
        for weight, old in zip(trained, before, strict=True):
            weight.copy_(old + shrink * (weight - old))
    for weight, old in zip(trained, before, strict=True):
        weight.copy_(old)
    return 0.0


@torch.no_grad()
def update_kl(parts: Components, batch: TrainBatch) -> float:
    """k3 of the policy before the update to the one after, on the rollout's tokens: nats per token."""
    model, own = parts.policy.model, own_rows(parts, batch)
    hidden = model.hidden(own.prompt_ids, own.prompt_mask, own.ids, own.mask)
    logp_tok = parts.ranks.whole(model.token_stats(hidden[:, :-1], own.ids, mask=own.mask).logp_tok)
    # Tokens of the old policy: k3 of log(old / new) estimates KL(old || new) without bias.
    return float(masked_mean(k3(batch.logp_old_tok - logp_tok), batch.mask))
