"""Before the first update, where a norm has changed: each pair is sorted by the reward, and weighed by its influence.

    g_i     gradient of a conflicting pair's own loss in the trained weights, one pair at a time
    g_gold  mean gradient of the inverted loss on pairs that the oracle, which is the evaluator, has put in order
    a_i     <g_i, g_gold>: by how much a small step on the pair lowers the gold set's loss

All of it is at the policy that the run starts from, so it is done once and kept in the run's state. Each rank has
conflicting pairs of its own, and all of them make the gold set's gradient.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from safelab.contracts import Triage, TriagedPreference, drawn_pairs
from safelab.errors import RunFailed
from safelab.maths.preference import effective_share
from safelab.maths.seeds import numpy_generator
from safelab.maths.triage import INVERT, PUNISH, RETAIN, agreement, impact_weights
from safelab.maths.wide import wide
from safelab.training.components import Components
from safelab.training.offline.stages import answer_logp, answers, offline_parts, pair_tokens
from safelab.training.rewards import gold_of, reward_of
from safelab.types import Pair, PairBatch

Scorer = Callable[[Components, Sequence[str], Sequence[str], Sequence[bool]], list[float]]


def triage_of(parts: Components, known: Triage) -> Triage:
    """``known`` where the pairs are sorted, or need not be; else what becomes of each, by the policy as it is now.

    Raises:
        RunFailed: no pair is in conflict with the new norm, or nothing can be said of their influence.
        RewardFailed: reward or evaluator failed.
    """
    _, preference = offline_parts(parts)
    if known.bucket or not isinstance(preference, TriagedPreference):
        return known
    pairs = all_pairs(parts)
    score, gold = scores(parts, pairs, reward_of), scores(parts, pairs, oracle_of)
    by_score = preference.triage == "by_score"
    bucket: list[int] = preference.bucket(score).tolist() if by_score else [INVERT] * len(pairs)
    return Triage(
        bucket=tuple(bucket),
        oracle=tuple(preference.oracle_bucket(gold).tolist()),
        weight=tuple(weights_of(parts, pairs, bucket, gold)),
    )


def weights_of(parts: Components, pairs: Sequence[Pair], bucket: Sequence[int], gold: Tensor) -> list[float]:
    """What each pair's own loss counts: 0 for a retained one; ``gold`` is the oracle's score of both answers.

    Raises:
        RunFailed: no pair is in conflict with the new norm, or nothing can be said of their influence.
    """
    _, preference = offline_parts(parts)
    assert isinstance(preference, TriagedPreference)
    conflicts = [number for number, kind in enumerate(bucket) if kind != RETAIN]
    if not conflicts:
        raise RunFailed(
            f"preference={preference.name} must have pairs that the reward's norm inverts or punishes, got none of "
            f"{len(pairs)}: see preference.invert_margin and punish_below, in units of the reward"
        )
    shares = [1.0 / len(conflicts)] * len(conflicts)
    if preference.weights == "influence":
        own = [(pairs[number], bucket[number]) for number in conflicts]
        shares = influence(parts, own, gold_set(parts, pairs, gold))
    whole = 1.0 if preference.weight_sum == "one" else float(len(pairs))
    share_of = dict(zip(conflicts, shares, strict=True))
    return [whole * share_of.get(number, 0.0) for number in range(len(pairs))]


def all_pairs(parts: Components) -> list[Pair]:
    """Each pair of the source, by its number."""
    source, _ = offline_parts(parts)
    assert source.size is not None
    pairs = drawn_pairs(source, 0, source.size)
    return [pair for _, pair in sorted(zip(source.numbers(0, source.size), pairs, strict=True), key=lambda at: at[0])]


def scores(parts: Components, pairs: Sequence[Pair], by: Scorer) -> Tensor:
    """What reward or evaluator says of both answers, in float64: asked for as many pairs as an update has."""
    source, _ = offline_parts(parts)
    own, size = pairs[parts.ranks.own(len(pairs))], source.batch_size

    def said() -> list[float]:
        pieces = [own[start : start + size] for start in range(0, len(own), size)]
        return [score for piece in pieces for score in by(parts, *answers(piece))]

    return torch.tensor(parts.ranks.joined(parts.ranks.agreed(said)), dtype=torch.float64).view(-1, 2)


def oracle_of(
    parts: Components, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool]
) -> list[float]:
    """The evaluator's score of each answer.

    Raises:
        RunFailed: it has none, as ``training.offline.fit`` cannot know of a part of the user's own.
    """
    gold = gold_of(parts, prompts, responses, ended, {})
    if gold is None:
        raise RunFailed("evaluator must score the answers of pairs that it is the oracle of, got None")
    return gold


def gold_set(parts: Components, pairs: Sequence[Pair], gold: Tensor) -> list[Pair]:
    """Pairs drawn by the run's seed, as if their ``rejected`` answers had become the better ones by the oracle.

    Raises:
        RunFailed: it tells no pair's answers apart.
    """
    _, preference = offline_parts(parts)
    assert isinstance(preference, TriagedPreference)
    order: list[int] = numpy_generator(parts.settings.seed, "gold set").permutation(len(pairs)).tolist()
    better = (gold[:, 1] - gold[:, 0]).tolist()
    told_apart = [number for number in order if better[number] != 0.0][: preference.gold_pairs]
    if not told_apart:
        raise RunFailed(f"evaluator must tell the answers of some pair apart, got equal scores in all {len(pairs)}")
    return [pairs[number] if better[number] > 0 else turned(pairs[number]) for number in told_apart]


def turned(pair: Pair) -> Pair:
    """The same with its answers exchanged."""
    return Pair(
        prompt=pair.prompt,
        chosen=pair.rejected,
        rejected=pair.chosen,
        chosen_ended=pair.rejected_ended,
        rejected_ended=pair.chosen_ended,
    )


def influence(parts: Components, conflicts: Sequence[tuple[Pair, int]], gold: Sequence[Pair]) -> list[float]:
    """The weight of each conflicting pair; their sum is 1.

    Raises:
        RunFailed: no pair's gradient agrees with the gold set's.
    """
    towards = [torch.zeros_like(weight) for weight in trained(parts)]
    for pair in gold:
        towards = [
            total + part / len(gold) for total, part in zip(towards, gradient_of(parts, pair, INVERT), strict=True)
        ]
    own = [inner(gradient_of(parts, *one), towards) for one in conflicts[parts.ranks.own(len(conflicts))]]
    alignment = torch.tensor(parts.ranks.joined(own), dtype=torch.float64)
    if not (alignment > 0).any():
        raise RunFailed(
            f"preference.weights=influence must find conflicting pairs whose gradient agrees with that of "
            f"{len(gold)} gold pairs, got none of {len(alignment)}: reward and evaluator judge by opposite norms; use "
            "preference.weights=uniform, or another reward"
        )
    weights: list[float] = impact_weights(alignment).tolist()
    return weights


def gradient_of(parts: Components, pair: Pair, bucket: int) -> list[Tensor]:
    """Gradient of one pair's loss, unweighted, in each trained weight."""
    _, preference = offline_parts(parts)
    batch = pair_tokens(parts, [pair])
    with torch.no_grad():
        batch = replace(batch, logp_ref=answer_logp(parts.policy.reference, batch))
    one, device = torch.ones(1, device=batch.ids.device), batch.ids.device
    batch = replace(batch, bucket=torch.tensor([bucket], device=device), influence=one)
    loss = preference.loss_pair(answer_logp(parts.policy.model, batch), batch).sum()
    weights = trained(parts)
    found = torch.autograd.grad(loss, weights, allow_unused=True)
    return [torch.zeros_like(weight) if part is None else part for weight, part in zip(weights, found, strict=True)]


def trained(parts: Components) -> list[Tensor]:
    """The policy's weights that learn."""
    return [weight for weight in parts.policy.module.parameters() if weight.requires_grad]


def inner(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    """``<first, second>`` in float64."""
    products = [wide(one).flatten() @ wide(other).flatten() for one, other in zip(first, second, strict=True)]
    return float(torch.stack(products).sum())


def sorted_pairs(parts: Components, triage: Triage, batch: PairBatch, update: int) -> PairBatch:
    """The batch with each pair's bucket, weight, and what its KL counts: kl_coef over the retained pairs' tokens."""
    source, preference = offline_parts(parts)
    if not isinstance(preference, TriagedPreference):
        return batch
    numbers = source.numbers(update * source.batch_size, source.batch_size)
    device = batch.ids.device
    bucket = torch.tensor([triage.bucket[number] for number in numbers], device=device)
    retained = bucket == RETAIN
    tokens = batch.mask[retained].sum().clamp(min=1)
    return replace(
        batch,
        bucket=bucket,
        influence=torch.tensor([triage.weight[number] for number in numbers], device=device),
        hold=preference.kl_coef * retained / tokens,
    )


def triage_metrics(triage: Triage) -> dict[str, float]:
    """What was found of the whole source: pairs in each bucket, agreement with the oracle, spread of the weights."""
    if not triage.bucket:
        return {}
    bucket, oracle = triage.bucket, triage.oracle
    shares = {
        "triage/agreement": agreement(bucket, oracle),
        "triage/agreement_retain": agreement(bucket, oracle, RETAIN),
        "triage/agreement_invert": agreement(bucket, oracle, INVERT),
        "triage/agreement_punish": agreement(bucket, oracle, PUNISH),
    }
    conflicts = [weight for weight, kind in zip(triage.weight, bucket, strict=True) if kind != RETAIN]
    return {
        "triage/retain": float(bucket.count(RETAIN)),
        "triage/invert": float(bucket.count(INVERT)),
        "triage/punish": float(bucket.count(PUNISH)),
        **{name: share for name, share in shares.items() if share is not None},
        "triage/weight_share": float(effective_share(torch.tensor(conflicts, dtype=torch.float64))),
    }
