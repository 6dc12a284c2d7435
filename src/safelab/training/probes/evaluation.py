"""A trained policy against the one it started from, on prompts that training did not draw: same prompts, both write.

Where the data has answers of its own (reference summaries, say), they are scored beside.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from safelab.contracts import Reading, drawn_columns, drawn_prompts
from safelab.errors import DataError
from safelab.maths.masked import masked_sum
from safelab.maths.seeds import row_seeds
from safelab.training.components import Components
from safelab.training.rewards import gold_of, reward_of, score_rewards
from safelab.training.rollouts import encoded
from safelab.types import Rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One side's responses with their scores, prompt by prompt; ``gold_seq`` None: the run has no held-out score."""

    prompts: tuple[str, ...]
    responses: tuple[str, ...]
    reward_seq: tuple[float, ...]
    gold_seq: tuple[float, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Written(Judged):
    """Responses of a model. ``kl_seq``: exact KL to the reference summed over a response, in nats."""

    length_seq: tuple[int, ...]
    ended_seq: tuple[bool, ...]
    kl_seq: tuple[float, ...]

    @property
    def kl_token(self) -> float:
        """Nats per response token: sum over sum, so that long responses count as they do in training."""
        return sum(self.kl_seq) / max(1, sum(self.length_seq))


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What the checkpoint and its reference wrote to the same prompts; ``answers``: the data's own, if asked for."""

    policy: Written
    reference: Written
    answers: Judged | None = None


def evaluate(
    parts: Components, weights: Path, count: int, say: Callable[[str], None], answers: str | None = None
) -> Evaluation:
    """Let the untrained policy write, then the one whose ``weights`` a checkpoint holds.

    Args:
        parts: a fresh build of the run; its policy takes the weights.
        weights: ``policy`` folder of a checkpoint.
        count: prompts, of which each is taken once.
        say: is told how far it is.
        answers: the column of the data that holds its own answers; None: they are not scored.

    Raises:
        DataError: the data has no such column, or one of its answers is no text.
    """
    torch.set_num_threads(parts.settings.threads)
    prompts, held = different_prompts(parts, count, answers)
    others = {name: held[name] for name in parts.reading.of(held)}
    own = None if answers is None else judged(parts, prompts, answers_in(parts, held, answers), others)
    reference = written(parts, "reference", prompts, others, say)
    parts.policy.restore(weights)
    policy = written(parts, "policy", prompts, others, say)
    return Evaluation(policy=policy, reference=reference, answers=own)


def different_prompts(parts: Components, count: int, column: str | None) -> tuple[list[str], dict[str, list[Any]]]:
    """The first ``count`` different prompts, or all where there are fewer, with their columns; ``column``: one more.

    A finite source repeats itself, and has a prompt several times that has several answers; what comes twice would make
    the intervals too narrow.
    """
    reading = parts.reading if column is None else parts.reading | Reading(may=frozenset({column}))
    prompts: list[str] = []
    held: dict[str, list[Any]] = {}
    cursor, before = 0, -1
    while len(prompts) < count and before < len(prompts):
        before = len(prompts)
        drawn = drawn_prompts(parts.data, cursor, count)
        columns = drawn_columns(parts.data, reading, cursor, count)
        cursor += count
        new = {text: row for row, text in reversed([*enumerate(drawn)]) if text not in prompts}
        for row in sorted(new.values())[: count - before]:
            prompts.append(drawn[row])
            for name, values in columns.items():
                held.setdefault(name, []).append(values[row])
    return prompts, held


def answers_in(parts: Components, columns: Mapping[str, Sequence[Any]], name: str) -> list[str]:
    """The data's own answers, without the end tokens that some data sets write behind them.

    A space in front stays: the policy writes it, too, and a reward model reads another word without it.

    Raises:
        DataError: there is no such column, or it holds something else than text.
    """
    if name not in columns:
        raise DataError(
            f"--answers must name a column of the data with an answer to each prompt, got {name!r}, which it lacks; "
            "data=hub and .jsonl files have columns"
        )
    ends = [token for token, number in parts.policy.vocabulary().items() if number in parts.policy.ends]
    tokens = "|".join(map(re.escape, ends))
    found = []
    for number, value in enumerate(columns[name], start=1):
        text = re.sub(rf"(?:\s|{tokens})+$", "", value) if isinstance(value, str) else ""
        if not text.strip():
            raise DataError(f"--answers {name}: each must be text that is not blank, got {value!r:.60} in row {number}")
        found.append(text)
    return found


def judged(
    parts: Components, prompts: Sequence[str], responses: Sequence[str], columns: Mapping[str, Sequence[Any]]
) -> Judged:
    """Responses that nobody here wrote, each taken to have come to its end."""
    scored = (prompts, responses, [True] * len(responses), columns)
    gold = gold_of(parts, *scored)
    return Judged(
        prompts=tuple(prompts),
        responses=tuple(responses),
        reward_seq=tuple(reward_of(parts, *scored)),
        gold_seq=None if gold is None else tuple(gold),
    )


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
        rollout = parts.rollout.unperturbed().sample(parts.policy, batch, seeds)
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
