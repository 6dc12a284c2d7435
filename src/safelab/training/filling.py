"""Dynamic sampling: groups of responses that teach nothing give way to further ones, until the batch is full.

A group teaches where its rewards are not all equal: an advantage that compares the responses to a prompt is 0 for all
of them otherwise. Other groups are left out, and as many prompts as the first time are drawn and answered again, at
most ``rollout.dynamic_sampling`` times. Then groups that teach nothing fill what is still missing.
Ref: DAPO, Yu et al. 2025, arXiv 2503.14476, section 3.2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import torch
from jaxtyping import Shaped
from torch import Tensor
from torch.nn.functional import pad

from safelab.training import rollouts
from safelab.training.clock import Clock
from safelab.training.components import Components
from safelab.training.rewards import score_rewards
from safelab.training.state import TrainState
from safelab.types import Judged, PromptBatch, Rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """The batch to train on, and what was written for it.

    ``first``: what was drawn first, as it is, of which rewards and responses are told: a batch without the prompts that
    are always or never solved says nothing of how many are. ``unread``: responses and tokens that were written and are
    not trained on.
    """

    batch: Judged
    first: Judged
    unread_episodes: int = 0
    unread_tokens: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)


def filled_batch(parts: Components, state: TrainState, first: Judged, clock: Clock) -> tuple[TrainState, Filled]:
    """The batch of an update whose rollout is ``first``, and the state behind the prompts drawn for it.

    Raises:
        RewardFailed: as ``score_rewards``.
    """
    if getattr(parts.rollout, "dynamic_sampling", 0) == 0:  # a sampler of the user's own may not know of it
        return state, Filled(batch=first, first=first)
    wanted = rollouts.prompts_per_rollout(parts)
    with clock.span("refill"):
        state, written = with_further(parts, state, first, wanted)
        groups = [group for each in written for group in groups_of(parts, each)]
        teaching = [group for group in groups if teaches(group)]
        others = [group for group in groups if not teaches(group)]
        batch = first if len(written) == 1 else joined(parts, [*teaching, *others][:wanted])
    return state, Filled(
        batch=batch,
        first=first,
        unread_episodes=sum(len(each.reward_seq) for each in written) - len(batch.reward_seq),
        unread_tokens=sum(int(each.rollout.mask.sum()) for each in written) - int(batch.rollout.mask.sum()),
        metrics={
            "rollout/further": float(len(written) - 1),
            "rollout/equal_share": len(others) / len(groups),
            "rollout/filler_share": max(0, wanted - len(teaching)) / wanted,
        },
    )


def with_further(parts: Components, state: TrainState, first: Judged, wanted: int) -> tuple[TrainState, list[Judged]]:
    """``first`` and further rollouts, until ``wanted`` groups teach or there may be no more."""
    written = [first]
    teaching = sum(map(teaches, groups_of(parts, first)))
    while teaching < wanted and len(written) <= parts.rollout.dynamic_sampling:
        state, prompts, number = rollouts.drawn(parts, state)
        # The update's own rollout has the number alone for a name.
        written.append(judged(parts, rollouts.roll_out(parts, prompts, number, "further", len(written))))
        teaching += sum(map(teaches, groups_of(parts, written[-1])))
    return state, written


def judged(parts: Components, rollout: Rollout) -> Judged:
    """A rollout with its rewards."""
    reward_seq, gold_seq = score_rewards(parts, rollout)
    return Judged(rollout=rollout, reward_seq=reward_seq, gold_seq=gold_seq)


def groups_of(parts: Components, whole: Judged) -> list[Judged]:
    """The groups of a rollout, in order."""
    size = parts.rollout.samples_per_prompt
    return [rows_of(whole, slice(row, row + size)) for row in range(0, len(whole.reward_seq), size)]


def teaches(group: Judged) -> bool:
    """Whether the rewards of a group differ."""
    return bool(group.reward_seq.max() > group.reward_seq.min())


def rows_of(whole: Judged, rows: slice) -> Judged:
    """Some rows of a rollout, as wide as all of them."""
    rollout, logp_tok, gold_seq = whole.rollout, whole.rollout.logp_rollout_tok, whole.gold_seq
    return Judged(
        rollout=Rollout(
            prompts=rollout.prompts.rows(rows),
            ids=rollout.ids[rows],
            mask=rollout.mask[rows],
            ended_seq=rollout.ended_seq[rows],
            responses=rollout.responses[rows],
            logp_rollout_tok=None if logp_tok is None else logp_tok[rows],
        ),
        reward_seq=whole.reward_seq[rows],
        gold_seq=None if gold_seq is None else gold_seq[rows],
    )


def joined(parts: Components, groups: Sequence[Judged]) -> Judged:
    """Groups of several rollouts as one, as wide as the longest of their responses."""
    written = [group.rollout for group in groups]
    width = max(int(each.length_seq.max()) for each in written)
    logp = [each.logp_rollout_tok for each in written if each.logp_rollout_tok is not None]
    gold = [group.gold_seq for group in groups if group.gold_seq is not None]
    return Judged(
        rollout=Rollout(
            prompts=same_prompts(parts, [each.prompts for each in written]),
            ids=cut_to(width, [each.ids for each in written], float(parts.policy.pad)),
            mask=cut_to(width, [each.mask for each in written]),
            ended_seq=torch.cat([each.ended_seq for each in written]),
            responses=tuple(chain.from_iterable(each.responses for each in written)),
            logp_rollout_tok=cut_to(width, logp) if logp else None,
        ),
        reward_seq=torch.cat([group.reward_seq for group in groups]),
        gold_seq=torch.cat(gold) if gold else None,
    )


def same_prompts(parts: Components, batches: Sequence[PromptBatch]) -> PromptBatch:
    """Prompts of several batches as one, as wide as the longest of them."""
    texts = [text for each in batches for text in each.texts]
    columns = {name: [*chain.from_iterable(each.columns[name] for each in batches)] for name in batches[0].columns}
    numbers = torch.cat([each.group_seq for each in batches]).tolist()
    return rollouts.encoded(parts, texts, columns, range(len(texts)), numbers)


def cut_to(width: int, pieces: Sequence[Shaped[Tensor, "_ _"]], fill: float = 0.0) -> Shaped[Tensor, "b t"]:
    """Rows of several widths under one another, without or with ``fill`` at their ends."""
    return torch.cat([pad(each[:, :width], (0, max(0, width - each.shape[1])), value=fill) for each in pieces])
