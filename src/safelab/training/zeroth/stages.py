"""From prompts to an estimate: what perturbed policies write, how it is voted on, and what follows for the gradient."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from safelab.contracts import Perturbing
from safelab.errors import RunFailed
from safelab.maths.seeds import derive_seed, numpy_generator, row_seeds
from safelab.maths.wide import wide
from safelab.maths.zeroth_order import direction, gap_of, preferred
from safelab.training.components import Components
from safelab.training.rewards import gold_of, reward_of
from safelab.types import PromptBatch, Rollout, Scored


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """The votes of an update, pair by pair; the perturbed policy's response is the one voted for.

    ``share_seq``: of the votes, before any trimming. ``gap_seq``: by how much it scores higher, as the votes have it.
    ``tie_seq``: both wrote the same, so nobody was asked. ``trimmed_seq``: the share was beyond the trim. ``votes``:
    cast.
    """

    share_seq: Float[Tensor, "b"]
    gap_seq: Float[Tensor, "b"]
    tie_seq: Bool[Tensor, "b"]
    trimmed_seq: Bool[Tensor, "b"]
    votes: int


def perturbing(parts: Components) -> Perturbing:
    """The run's optimiser; ``training.updates`` has seen that it is one."""
    assert isinstance(parts.optimizer, Perturbing)
    return parts.optimizer


def trained_weights(parts: Components) -> list[Tensor]:
    """The weights that are perturbed and moved."""
    return [weight for weight in parts.policy.module.parameters() if weight.requires_grad]


def direction_of(parts: Components, update: int, number: int) -> Iterator[Tensor]:
    """The direction of a perturbation, weight by weight: a function of seed, update and number, never kept."""
    shapes = [weight.shape for weight in trained_weights(parts)]
    seed = derive_seed(parts.settings.seed, "perturbation", update, number)
    return direction(shapes, perturbing(parts).block_size, seed)


@contextmanager
def perturbed(parts: Components, update: int, number: int) -> Iterator[None]:
    """Within it the weights are theta + mu v; afterwards they are what they were, to the bit.

    Taking mu v away again would leave rounding, so that the weights are kept: the memory of those that train.
    """
    weights, mu = trained_weights(parts), perturbing(parts).mu
    before = [weight.detach().clone() for weight in weights]
    try:
        with torch.no_grad():
            for weight, piece in zip(weights, direction_of(parts, update, number), strict=True):
                weight.add_(piece.to(weight), alpha=mu)
        yield
    finally:
        with torch.no_grad():
            for weight, old in zip(weights, before, strict=True):
                weight.copy_(old)


def shares(parts: Components, rows: int) -> list[slice]:
    """The rows of each perturbation: neighbours, as many as of the others or one more."""
    count = perturbing(parts).perturbations
    return [slice(number * rows // count, (number + 1) * rows // count) for number in range(count)]


def write_perturbed(parts: Components, prompts: PromptBatch, update: int) -> list[Rollout]:
    """What each perturbed policy writes to its share of ``prompts``."""
    rows = len(prompts.ids)
    # The name of the policy's own rollout gives the perturbed one the same numbers to sample with.
    name = "rollout" if perturbing(parts).noise == "same" else "perturbed rollout"
    seeds = row_seeds(parts.settings.seed, name, update, rows=rows)
    written = []
    for number, share in enumerate(shares(parts, rows)):
        with perturbed(parts, update, number), parts.rollout.within(parts.policy):
            written.append(parts.rollout.sample(parts.policy, prompts.rows(share), seeds[share]))
    return written


def oracle_scores(parts: Components, scored: Scored, written: Sequence[Rollout]) -> tuple[Tensor, Tensor]:
    """The score that the oracle goes by: of the policy's own responses, and of the perturbed policies'.

    Raises:
        RunFailed: reward or evaluator raised, or there is no such score.
    """
    prompts, of_gold = scored.rollout.prompts, perturbing(parts).oracle.of == "gold"
    responses, ended = zip(*responses_of(written), strict=True)
    judged = (prompts.texts, responses, ended, prompts.columns)
    found = gold_of(parts, *judged) if of_gold else reward_of(parts, *judged)
    own = scored.gold_seq if of_gold else scored.reward_seq
    if found is None or own is None:
        raise RunFailed("evaluator must score responses with optimizer.oracle.of=gold, and gave no score")
    return own, torch.tensor(found, device=own.device)


def responses_of(written: Sequence[Rollout]) -> list[tuple[str, bool]]:
    """Responses, and whether each gave its end token, in the order of the rows."""
    return [row for rollout in written for row in zip(rollout.responses, rollout.ended_seq.tolist(), strict=True)]


def vote(parts: Components, scored: Scored, written: Sequence[Rollout], update: int) -> Ballot:
    """Put each pair to the vote; the votes of a pair are a function of seed, update and row.

    A pair of one and the same response is a tie that no vote is spent on.
    """
    oracle, seed = perturbing(parts).oracle, parts.settings.seed
    own, other = oracle_scores(parts, scored, written)
    chances = preferred(oracle.link, wide(other - own) / oracle.link_temperature).tolist()
    pairs = zip(responses_of(written), responses_of([scored.rollout]), strict=True)
    ties = torch.tensor([one == another for one, another in pairs])
    shares = [
        0.5 if tie else float((numpy_generator(seed, "votes", update, row).random(oracle.votes) < chance).mean())
        for row, (chance, tie) in enumerate(zip(chances, ties.tolist(), strict=True))
    ]
    share_seq = torch.tensor(shares, dtype=torch.float64)
    return Ballot(
        share_seq=share_seq,
        gap_seq=gap_of(oracle.link, share_seq, oracle.trim, oracle.link_temperature),
        tie_seq=ties,
        trimmed_seq=(share_seq < oracle.trim) | (share_seq > 1 - oracle.trim),
        votes=oracle.votes * int((~ties).sum()),
    )


def estimate(parts: Components, ballot: Ballot, update: int) -> list[Tensor]:
    """G = mean over perturbations of (d / mu) mean_j gap_j v, weight by weight."""
    weights, optimizer = trained_weights(parts), perturbing(parts)
    size = sum(weight.numel() for weight in weights)
    gaps = [float(ballot.gap_seq[share].mean()) for share in shares(parts, len(ballot.gap_seq))]
    slopes = [size / optimizer.mu * gap / len(gaps) for gap in gaps]
    directions = zip(*(direction_of(parts, update, number) for number in range(len(gaps))), strict=True)
    return [
        torch.stack([slope * piece for slope, piece in zip(slopes, pieces, strict=True)]).sum(dim=0).to(weight)
        for weight, pieces in zip(weights, directions, strict=True)
    ]
