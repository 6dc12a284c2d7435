"""From preference pairs to the terms of their loss: tokens, reference, rewards, weights, and the policy's pass."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import torch
from jaxtyping import Float
from torch import Tensor

from safelab.contracts import CausalModel, PairSource, Preference, drawn_pairs
from safelab.errors import RunFailed
from safelab.maths.divergence import exact_kl
from safelab.maths.preference import effective_share, margin, sequence_logp
from safelab.maths.triage import INVERT, PUNISH, RETAIN
from safelab.training.components import Components
from safelab.training.pieces import slices
from safelab.training.rewards import reward_of
from safelab.types import Pair, PairBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class PairTerms:
    """The loss of some pairs as it is added up, and what one pass shows of them; only ``loss`` carries gradient.

    ``loss``: sum over these pairs over the number of pairs in the whole batch, and what holds them to the reference.
    ``log_ratio``: log pi - log pi_ref. ``kl``: of the reference from the policy over both answers' tokens, 0 where a
    pair is not held; None where the loss holds none.
    """

    loss: Float[Tensor, ""]
    logp: Float[Tensor, "b a"]
    log_ratio: Float[Tensor, "b a"]
    kl: Float[Tensor, "b"] | None = None


def offline_parts(parts: Components) -> tuple[PairSource, Preference]:
    """Where pairs come from, and the loss on them; ``training.fit`` has seen that an offline run has both."""
    assert parts.pairs is not None
    assert parts.preference is not None
    return parts.pairs, parts.preference


def draw_pairs(parts: Components, update: int) -> list[Pair]:
    """The pairs of an update. Which they are is a function of its number, so they need no state."""
    source, _ = offline_parts(parts)
    return drawn_pairs(source, update * source.batch_size, source.batch_size)


def make_pairs(parts: Components, pairs: Sequence[Pair]) -> PairBatch:
    """All that the loss reads besides the policy: both answers as tokens, the reference's pass, rewards, weights.

    Raises:
        RunFailed: the reward raised, or one is not finite.
    """
    _, preference = offline_parts(parts)
    batch = pair_tokens(parts, pairs)
    with torch.no_grad():
        logp_ref = torch.cat([answer_logp(parts.policy.reference, piece) for piece in pieces(parts, batch)])
    batch = replace(batch, logp_ref=parts.ranks.whole(logp_ref))
    if preference.needs_reward:
        own = pairs[parts.ranks.own(len(pairs))]
        reward = parts.ranks.agreed(lambda: reward_of(parts, *answers(own)))
        reward_seq = torch.tensor(parts.ranks.joined(reward), device=batch.ids.device)
        batch = replace(batch, reward=reward_seq.view(-1, 2))
    return replace(batch, weight=preference.weigh(batch))


def answers(pairs: Sequence[Pair]) -> tuple[list[str], list[str], list[bool]]:
    """Prompt, text and end of each answer, the chosen one of each pair first."""
    texts = list(chain.from_iterable((pair.chosen, pair.rejected) for pair in pairs))
    ended = list(chain.from_iterable((pair.chosen_ended, pair.rejected_ended) for pair in pairs))
    return [pair.prompt for pair in pairs for _ in range(2)], texts, ended


def pair_tokens(parts: Components, pairs: Sequence[Pair]) -> PairBatch:
    """Prompts and answers as tokens; what the reference says of them is 0 as yet."""
    source, _ = offline_parts(parts)
    prompts = parts.policy.encode([pair.prompt for pair in pairs], range(len(pairs)))
    ids, mask = parts.policy.encode_responses(*answers(pairs), source.max_response_tokens)
    return PairBatch(
        prompt_ids=prompts.ids,
        prompt_mask=prompts.mask,
        ids=ids.view(len(pairs), 2, -1),
        mask=mask.view(len(pairs), 2, -1),
        logp_ref=torch.zeros(len(pairs), 2, device=ids.device),
    )


def pieces(parts: Components, batch: PairBatch) -> list[PairBatch]:
    """What goes through the model together on this rank: whole pairs, each two sequences that repeat the prompt."""
    size, tokens = parts.optimizer.micro_batch_size, parts.optimizer.micro_batch_tokens
    batch = batch if parts.ranks.size == 1 else batch.rows(parts.ranks.own(len(batch)))
    masks = batch.prompt_mask, batch.prompt_mask, batch.mask.flatten(1)
    rows = slices(None if size is None else size // 2, tokens, *masks)
    return [batch if piece is None else batch.rows(piece) for piece in rows]


def pair_terms(parts: Components, batch: PairBatch, whole: int) -> PairTerms:
    """Forward pass of the policy over both answers, and the loss; ``whole`` pairs are in the batch that is cut."""
    _, preference = offline_parts(parts)
    hidden = answer_states(parts.policy.model, batch)
    logp = logp_of(parts.policy.model, hidden, batch)
    loss = preference.loss_pair(logp, batch).sum() / whole
    kl = None
    if batch.hold is not None:
        kl = held_kl(parts, hidden, batch)
        loss = loss + (batch.hold * kl).sum()
    log_ratio = logp.detach() - batch.logp_ref
    return PairTerms(loss=loss, logp=logp.detach(), log_ratio=log_ratio, kl=None if kl is None else kl.detach())


def answer_logp(model: CausalModel, batch: PairBatch) -> Float[Tensor, "b a"]:
    """Log pi(y | x) of both answers of each pair from one pass, summed over their tokens."""
    return logp_of(model, answer_states(model, batch), batch)


def answer_states(model: CausalModel, batch: PairBatch) -> Float[Tensor, "b2 t d"]:
    """Hidden states from which each token of an answer is predicted, pair by pair, the chosen answer first."""
    ids, mask = batch.ids.flatten(0, 1), batch.mask.flatten(0, 1)
    prompt_ids, prompt_mask = (x.repeat_interleave(2, dim=0) for x in (batch.prompt_ids, batch.prompt_mask))
    return model.hidden(prompt_ids, prompt_mask, ids, mask)[:, :-1]


def logp_of(model: CausalModel, hidden: Float[Tensor, "b2 t d"], batch: PairBatch) -> Float[Tensor, "b a"]:
    """What these states say of the answers."""
    ids, mask = batch.ids.flatten(0, 1), batch.mask.flatten(0, 1)
    return sequence_logp(model.token_stats(hidden, ids, mask=mask).logp_tok, mask).view(-1, 2)


def held_kl(parts: Components, hidden: Float[Tensor, "b2 t d"], batch: PairBatch) -> Float[Tensor, "b"]:
    """KL(ref || pi) over the whole vocabulary, summed over both answers' tokens, of each pair that is held; else 0."""
    assert batch.bucket is not None
    kl = torch.zeros(len(batch), device=hidden.device)
    held = (batch.bucket == RETAIN).nonzero().squeeze(1)
    if len(held) == 0:
        return kl
    rows = batch.rows(held)
    mask = rows.mask.flatten(0, 1)
    with torch.no_grad():
        reference = parts.policy.reference
        logp_ref = reference.log_probs(answer_states(reference, rows)[mask])
    own = torch.stack([2 * held, 2 * held + 1], dim=1).flatten()
    logp = parts.policy.model.log_probs(hidden[own][mask])
    kl_tok = torch.zeros(mask.shape, device=kl.device).masked_scatter(mask, exact_kl(logp_ref, logp))
    return kl.index_copy(0, held, kl_tok.sum(dim=1).view(-1, 2).sum(dim=1))


def check_same_start(log_ratio: Float[Tensor, "b a"], batch: PairBatch, tolerance: float) -> None:
    """Before anything was learnt policy and reference give each answer the same probability.

    Raises:
        RunFailed: they are further apart than rounding, in nats per token.
    """
    apart = float((log_ratio.abs() / batch.mask.sum(dim=-1)).max())
    if apart > tolerance:
        raise RunFailed(
            f"at update 0 policy and reference must score an answer alike (within {tolerance} nats per token), got a "
            f"difference of {apart:.2g}: they do not read alike (dropout, precision or masks)"
        )


def whole_loss(parts: Components, terms: Sequence[PairTerms]) -> Float[Tensor, ""]:
    """The loss of the whole batch, from the pieces of all ranks."""
    return parts.ranks.whole(torch.stack([piece.loss.detach() for piece in terms])).sum()


def preference_metrics(parts: Components, terms: Sequence[PairTerms], batch: PairBatch) -> dict[str, Tensor]:
    """What the one pass of an update shows of its pairs; see docs/metrics.md."""
    _, preference = offline_parts(parts)
    logp = parts.ranks.whole(torch.cat([piece.logp for piece in terms]))
    log_ratio = parts.ranks.whole(torch.cat([piece.log_ratio for piece in terms]))
    implied = preference.implied_reward(preference.as_read(log_ratio, batch))
    metrics = {
        "preference/loss": whole_loss(parts, terms),
        "preference/accuracy": (margin(log_ratio) > 0).float().mean(),
        "preference/margin": margin(implied).mean(),
        "preference/chosen_reward": implied[:, 0].mean(),
        "preference/rejected_reward": implied[:, 1].mean(),
        "preference/chosen_logp": logp[:, 0].mean(),
        "preference/rejected_logp": logp[:, 1].mean(),
        "preference/clip_fraction": preference.clipped_pair(log_ratio).float().mean(),
    }
    if batch.weight is not None:
        metrics |= {"preference/weight_share": effective_share(batch.weight)}
    return metrics if batch.bucket is None else metrics | conflict_metrics(parts, terms, batch, logp)


def conflict_metrics(
    parts: Components, terms: Sequence[PairTerms], batch: PairBatch, logp: Float[Tensor, "b a"]
) -> dict[str, Tensor]:
    """What each bucket adds to the loss, and where its pairs are; an empty bucket has no mean, and no number."""
    _, preference = offline_parts(parts)
    assert batch.bucket is not None
    assert batch.hold is not None
    own, retained, inverted = preference.loss_pair(logp, batch), batch.bucket == RETAIN, batch.bucket == INVERT
    kl = parts.ranks.whole(torch.cat([piece.kl for piece in terms if piece.kl is not None]))
    metrics = {
        "preference/invert_loss": own[inverted].sum() / len(batch),
        "preference/punish_loss": own[batch.bucket == PUNISH].sum() / len(batch),
        "preference/retain_loss": (batch.hold * kl).sum(),
    }
    if retained.any():
        metrics |= {"preference/retain_kl": kl.sum() / batch.mask[retained].sum()}
    if inverted.any():
        implied = preference.implied_reward(logp - batch.logp_ref)
        metrics |= {"preference/inverted_margin": -margin(implied)[inverted].mean()}
    return metrics
