"""What reward and evaluator say of responses, and what is said where one of them fails."""

import traceback
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor

from safelab.contracts import checked_scores, given
from safelab.errors import OwnCodeFailed, RewardFailed, RunFailed
from safelab.foreign import calling, is_users
from safelab.training.components import Components
from safelab.types import Rollout

Columns = Mapping[str, Sequence[Any]]
"""What the data says of its prompts besides: one value per prompt, by name."""


def score_rewards(parts: Components, rollout: Rollout) -> tuple[Tensor, Tensor | None]:
    """Reward and, where there is an evaluator, the held-out score of each response.

    Raises:
        RewardFailed: one of them raised, or gave something else than one finite number per response; with the batch.
    """
    own, device = parts.ranks.own(len(rollout.responses)), rollout.ids.device
    prompts = rollout.prompts.rows(own)
    judged = (prompts.texts, rollout.responses[own], rollout.ended_seq[own].tolist(), prompts.columns)

    def scored() -> tuple[list[float], list[float] | None]:
        return reward_of(parts, *judged), gold_of(parts, *judged)

    reward, gold = parts.ranks.agreed(scored)
    reward_seq = torch.tensor(parts.ranks.joined(reward), device=device)
    return reward_seq, None if gold is None else torch.tensor(parts.ranks.joined(gold), device=device)


def score_greedy(parts: Components, rollout: Rollout) -> Tensor | None:
    """Rewards of the greedy responses, where there are any.

    Raises:
        RewardFailed: as ``score_rewards``.
    """
    greedy, own = rollout.greedy, parts.ranks.own(len(rollout.responses))
    if greedy is None:
        return None
    prompts = rollout.prompts.rows(own)
    judged = (prompts.texts, greedy.responses[own], greedy.ended_seq[own].tolist(), prompts.columns)
    reward = parts.ranks.agreed(lambda: reward_of(parts, *judged))
    return torch.tensor(parts.ranks.joined(reward), device=rollout.ids.device)


def reward_of(
    parts: Components,
    prompts: Sequence[str],
    responses: Sequence[str],
    ended: Sequence[bool],
    columns: Columns = MappingProxyType({}),
) -> list[float]:
    """The reward of each response. ``columns``: what the data says of its prompt besides.

    Raises:
        RewardFailed: the reward raised, or gave something else than one finite number per response; with the batch.
    """
    reward = _scores_of("reward", parts.reward, prompts, responses, ended, columns)
    assert reward is not None
    return reward


def gold_of(
    parts: Components, prompts: Sequence[str], responses: Sequence[str], ended: Sequence[bool], columns: Columns
) -> list[float] | None:
    """The held-out score of each response, None where the run has none; see ``reward_of``."""
    return _scores_of("evaluator", parts.evaluator, prompts, responses, ended, columns)


def _scores_of(
    group: Literal["reward", "evaluator"],
    part: Any,
    prompts: Sequence[str],
    responses: Sequence[str],
    ended: Sequence[bool],
    columns: Columns,
) -> list[float] | None:
    """The score of each response; None where an evaluator has none. What the part does to the process is put back.

    Raises:
        RewardFailed: it raised, or gave something else; with the batch, and the traceback of what it raised.
    """
    who = f"{group} {getattr(part, 'name', type(part).__name__)}"
    try:
        with calling(who, RunFailed):
            scores = part.score(list(prompts), list(responses), list(ended), **given(part, columns))
            if scores is None and group == "evaluator":
                return None
            return checked_scores(who, scores, prompts, OwnCodeFailed if is_users(part) else RunFailed)
    except RunFailed as error:
        cause = error.__cause__
        raised = {} if cause is None else {"traceback": traceback.format_exception(cause)}
        batch = {"prompts": prompts, "responses": responses, **given(part, columns), **raised}
        raise RewardFailed(str(error), batch, own=isinstance(error, OwnCodeFailed)) from (cause or error)
