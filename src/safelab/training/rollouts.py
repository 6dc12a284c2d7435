"""How a rollout comes about: prompts are drawn, each rank writes to its own, all is gathered, and some may wait."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from safelab.contracts import asked_of, drawn_columns, drawn_prompts
from safelab.maths.seeds import row_seeds
from safelab.training.components import Components
from safelab.training.pieces import model_inputs, rollout_pieces
from safelab.training.state import TrainState
from safelab.types import Greedy, PromptBatch, Rollout


def next_rollout(parts: Components, state: TrainState) -> tuple[TrainState, Rollout]:
    """The rollout to train on, and the state that holds those still waiting.

    With ``rollout.staleness`` k, rollouts are written k updates before they are trained on, as where generation and
    training run side by side: at update 0 the starting policy writes k + 1 of them, and each later update one more.
    """
    state = filled(parts, state, parts.rollout.staleness + 1)
    return replace(state, pending=state.pending[1:]), state.pending[0]


def filled(parts: Components, state: TrainState, count: int) -> TrainState:
    """The state with ``count`` rollouts waiting; those that are missing are written now."""
    while len(state.pending) < count:
        state, prompts, number = drawn(parts, state)
        state = waiting(parts, state, roll_out(parts, prompts, number))
    return state


def drawn(parts: Components, state: TrainState) -> tuple[TrainState, PromptBatch, int]:
    """The prompts of the next rollout to write, the state behind them, and the update that will train on it."""
    counters = state.counters
    behind = counters.model_copy(update={"cursor": counters.cursor + prompts_per_rollout(parts)})
    number = counters.update + len(state.pending)
    return replace(state, counters=behind), draw_prompts(parts, counters.cursor), number


def waiting(parts: Components, state: TrainState, rollout: Rollout) -> TrainState:
    """The state with one more rollout that waits; a stale one says when it was written."""
    marked = replace(rollout, written=state.counters.update) if parts.rollout.staleness > 0 else rollout
    return replace(state, pending=(*state.pending, marked))


def prompts_per_rollout(parts: Components) -> int:
    """Different prompts in a rollout."""
    return parts.rollout.batch_size // parts.rollout.samples_per_prompt


def draw_prompts(parts: Components, cursor: int) -> PromptBatch:
    """The next prompts, each as often as it is to be answered, as tokens: ``rollout.batch_size`` rows."""
    count, copies = prompts_per_rollout(parts), parts.rollout.samples_per_prompt
    texts = drawn_prompts(parts.data, cursor, count)
    columns = drawn_columns(parts.data, parts.reading, cursor, count)
    rows = [row // copies for row in range(count * copies)]
    return encoded(parts, texts, columns, rows, [cursor + row for row in rows])


def encoded(
    parts: Components,
    texts: Sequence[str],
    columns: Mapping[str, Sequence[Any]],
    rows: Sequence[int],
    groups: Sequence[int],
) -> PromptBatch:
    """The prompts at ``rows`` as tokens, with what the data says of each besides.

    The tokens are those of what the policy is asked, the texts those that reward and evaluator judge by.
    """
    prompts = [texts[row] for row in rows]
    asked = asked_of(parts.data, prompts, groups)
    batch = parts.policy.encode(asked, groups)
    batch = batch if asked == prompts else replace(batch, texts=tuple(prompts))
    chosen = {name: tuple(values[row] for row in rows) for name, values in columns.items()}
    return replace(batch, columns=chosen) if chosen else batch


def roll_out(parts: Components, prompts: PromptBatch, *names: int | str) -> Rollout:
    """One response per row; its noise depends on the seed, ``names`` (of an update: its number) and the row alone.

    Each rank writes to its own prompts.
    """

    def wrote() -> Rollout:
        with parts.rollout.within(parts.policy):  # an engine may fail on one rank alone before it writes, too
            return written(parts, parts.rollout, prompts, *names)

    return gathered(parts, prompts, parts.ranks.agreed(wrote))


def written(parts: Components, sampler: Any, prompts: PromptBatch, *names: int | str) -> Rollout:
    """What this rank writes of a rollout; nothing is exchanged, so that it may be written in another thread.

    ``sampler``: a ``Sampler``, or what has its methods.
    """
    own = parts.ranks.own(len(prompts.ids))
    seeds = row_seeds(parts.settings.seed, "rollout", *names, rows=len(prompts.ids))
    rollout: Rollout = sampler.sample(parts.policy, prompts.rows(own), seeds[own])
    if "greedy" not in parts.advantage.needs:
        return rollout
    return replace(rollout, greedy=sampler.greedy(parts.policy, prompts.rows(own)))


def gathered(parts: Components, prompts: PromptBatch, own: Rollout) -> Rollout:
    """What all ranks wrote to ``prompts``, with the log-probabilities of a stale rollout's writer."""
    rollout = whole_rollout(parts, prompts, own)
    if parts.rollout.staleness > 0 and rollout.logp_rollout_tok is None:
        # By the time that it is trained on, the policy that wrote it is gone.
        rollout = replace(rollout, logp_rollout_tok=_log_probs(parts, rollout))
    if (greedy := own.greedy) is not None:
        responses = tuple(parts.ranks.joined(greedy.responses))
        rollout = replace(rollout, greedy=Greedy(responses=responses, ended_seq=parts.ranks.whole(greedy.ended_seq)))
    return rollout


def whole_rollout(parts: Components, prompts: PromptBatch, own: Rollout) -> Rollout:
    """What all ranks wrote to ``prompts``, in their order."""
    ranks, logp_tok = parts.ranks, own.logp_rollout_tok
    return Rollout(
        prompts=prompts,
        ids=ranks.whole(own.ids, parts.policy.pad),
        mask=ranks.whole(own.mask),
        ended_seq=ranks.whole(own.ended_seq),
        responses=tuple(ranks.joined(own.responses)),
        logp_rollout_tok=None if logp_tok is None else ranks.whole(logp_tok),
    )


@torch.no_grad()
def _log_probs(parts: Components, rollout: Rollout) -> Float[Tensor, "b t"]:
    """Log-probabilities of the response tokens under the policy as it is now."""
    model, pieces = parts.policy.model, []
    for rows in rollout_pieces(parts, rollout):
        inputs = model_inputs(rollout, rows)
        pieces.append(model.token_stats(model.hidden(*inputs)[:, :-1], inputs[2], mask=inputs[3]).logp_tok)
    return parts.ranks.whole(torch.cat(pieces))
