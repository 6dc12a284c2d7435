"""A trained policy against the one it started from, on prompts that training did not draw: same prompts, both write."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from safelab.contracts import drawn_columns, drawn_prompts
from safelab.maths.masked import masked_sum
from safelab.maths.seeds import row_seeds
from safelab.training.components import Components
from safelab.training.rewards import score_rewards
from safelab.training.rollouts import encoded
from safelab.types import Rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One side's responses, prompt by prompt. ``kl_seq``: exact KL to the reference summed over a response, in nats.

    ``gold_seq`` is None where the run has no held-out score.
    """

    prompts: tuple[str, ...]
    responses: tuple[str, ...]
    reward_seq: tuple[float, ...]
    gold_seq: tuple[float, ...] | None
    length_seq: tuple[int, ...]
    ended_seq: tuple[bool, ...]
    kl_seq: tuple[float, ...]

    @property
    def kl_token(self) -> float:
        """Nats per response token: sum over sum, so that long responses count as they do in training."""
        return sum(self.kl_seq) / max(1, sum(self.length_seq))


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What the checkpoint and its reference wrote to the same prompts."""

    policy: Written
    reference: Written


def evaluate(parts: Components, weights: Path, count: int, say: Callable[[str], None]) -> Evaluation:
    """Let the untrained policy write, then the one whose ``weights`` a checkpoint holds.

    Args:
        parts: a fresh build of the run; its policy takes the weights.
        weights: ``policy`` folder of a checkpoint.
        count: prompts, of which each is taken once.
        say: is told how far it is.
    """
    torch.set_num_threads(parts.settings.threads)
    # A finite source repeats itself; a prompt that comes twice would make the intervals too narrow.
    drawn = drawn_prompts(parts.data, 0, count)
    columns = drawn_columns(parts.data, parts.reading, 0, count)
    first: dict[str, int] = {}
    for row, text in enumerate(drawn):
        first.setdefault(text, row)
    prompts, others = list(first), {name: [values[row] for row in first.values()] for name, values in columns.items()}
    reference = written(parts, "reference", prompts, others, say)
    parts.policy.restore(weights)
    return Evaluation(policy=written(parts, "policy", prompts, others, say), reference=reference)


def written(
    parts: Components,
    side: str,
    prompts: Sequence[str],
    columns: Mapping[str, Sequence[Any]],
    say: Callable[[str], None],
) -> Written:
    """Responses of the policy as it is now, in batches of ``rollout.batch_size``."""
    size = parts.rollout.batch_size
    rollouts: list[Rollout] = []
    rewards: list[float] = []
    gold: list[float] = []
    kl: list[float] = []
    for start in range(0, len(prompts), size):
        say(f"{side}: {start} of {len(prompts)} prompts")
        rows = range(start, min(start + size, len(prompts)))
        batch = encoded(parts, prompts, columns, rows, rows)
        seeds = row_seeds(parts.settings.seed, "evaluation", side, start, rows=len(rows))
        rollout = parts.rollout.sample(parts.policy, batch, seeds)
        reward_seq, gold_seq = score_rewards(parts, rollout)
        rollouts.append(rollout)
        rewards += reward_seq.tolist()
        gold += [] if gold_seq is None else gold_seq.tolist()
        kl += kl_of(parts, rollout)
    return Written(
        prompts=tuple(text for rollout in rollouts for text in rollout.prompts.texts),
        responses=tuple(text for rollout in rollouts for text in rollout.responses),
        reward_seq=tuple(rewards),
        gold_seq=tuple(gold) if gold else None,
        length_seq=tuple(int(length) for rollout in rollouts for length in rollout.length_seq),
        ended_seq=tuple(bool(ended) for rollout in rollouts for ended in rollout.ended_seq),
        kl_seq=tuple(kl),
    )


@torch.no_grad()
def kl_of(parts: Components, rollout: Rollout) -> list[float]:
    """Exact KL to the reference of each response, summed over its tokens."""
    model, reference = parts.policy.model, parts.policy.reference
    place = (rollout.prompts.ids, rollout.prompts.mask, rollout.ids, rollout.mask)
    hidden, hidden_ref = model.hidden(*place)[:, :-1], reference.hidden(*place)[:, :-1]
    exact_tok = model.token_stats(hidden, rollout.ids, (reference, hidden_ref), mask=rollout.mask).kl_exact_tok
    assert exact_tok is not None
    rows = zip(exact_tok, rollout.mask, strict=True)
    return [float(masked_sum(row, mask)) for row, mask in rows]


def distinct_n(texts: Sequence[str], n: int) -> float:
    """Share of the n-grams of words that are distinct, over all texts; 0 where there is none.

    Ref: Li et al. 2016, arXiv 1510.03055, section 5.
    """
    grams = [tuple(words[i : i + n]) for text in texts for words in [text.split()] for i in range(len(words) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 0.0
