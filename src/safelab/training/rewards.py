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


def score_rewards(parts: Components, rollout: Rollout) -> tuple[Tensor, Tensor | None]:
    """Reward and, where there is an evaluator, the held-out score of each response.

    Raises:
        RewardFailed: one of them raised, or gave something else than one finite number per response; with the batch.
    """
    prompts, device = rollout.prompts, rollout.ids.device
    judged = (prompts.texts, rollout.responses, rollout.ended_seq.tolist(), prompts.columns)
    reward, gold = reward_of(parts, *judged), _scores_of("evaluator", parts.evaluator, *judged)
    return torch.tensor(reward, device=device), None if gold is None else torch.tensor(gold, device=device)


def score_greedy(parts: Components, rollout: Rollout) -> Tensor | None:
    """Rewards of the greedy responses, where there are any.

    Raises:
        RewardFailed: as ``score_rewards``.
    """
    greedy, prompts = rollout.greedy, rollout.prompts
    if greedy is None:
        return None
    reward = reward_of(parts, prompts.texts, greedy.responses, greedy.ended_seq.tolist(), prompts.columns)
    return torch.tensor(reward, device=rollout.ids.device)


def reward_of(
    parts: Components,
    prompts: Sequence[str],
    responses: Sequence[str],
    ended: Sequence[bool],
    columns: Mapping[str, Sequence[Any]] = MappingProxyType({}),
) -> list[float]:
    """The reward of each response. ``columns``: what the data says of its prompt besides.

    Raises:
        RewardFailed: the reward raised, or gave something else than one finite number per response; with the batch.
    """
    reward = _scores_of("reward", parts.reward, prompts, responses, ended, columns)
    assert reward is not None
    return reward


def _scores_of(
    group: Literal["reward", "evaluator"],
    part: Any,
    prompts: Sequence[str],
    responses: Sequence[str],
    ended: Sequence[bool],
    columns: Mapping[str, Sequence[Any]],
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
