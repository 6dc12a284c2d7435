"""Update 0 says when the ways to score a response differ, with one minibatch as with several."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from safelab.contracts import CausalModel
from safelab.errors import RunFailed
from safelab.training import loop, rollouts, stages, start
from safelab.training.components import Components
from safelab.training.loop import train_update
from safelab.training.rewards import score_rewards
from safelab.training.state import initial_state
from safelab.types import Rollout, TokenStats
from support.runs import parts_of, small


class Reading(CausalModel):
    """The policy's model, whose ``hidden`` is spoilt in one way."""

    def __init__(self, model: CausalModel, spoil: Any) -> None:
        self._model, self._spoil = model, spoil

    def token_stats(self, hidden: Any, ids: Any, reference: Any = None, mask: Any = None) -> TokenStats:
        return self._model.token_stats(hidden, ids, reference, mask)

    def log_probs(self, hidden: Any) -> Any:
        return self._model.log_probs(hidden)

    def hidden(self, prompt_ids: Any, prompt_mask: Any, ids: Any, mask: Any) -> Any:
        return self._spoil(self._model, prompt_ids, prompt_mask, ids, mask)


def padding_counts(model: Any, prompt_ids: Any, prompt_mask: Any, ids: Any, mask: Any) -> Any:
    return model.hidden(prompt_ids, torch.ones_like(prompt_mask), ids, mask)


def dropout(model: Any, *inputs: Any) -> Any:
    return torch.nn.functional.dropout(model.hidden(*inputs), 0.1)


def reads(parts: Components, spoil: Any) -> None:
    """Policy and reference alike, as a broken set-up would."""
    parts.policy.model, parts.policy.reference = (
        Reading(model, spoil) for model in (parts.policy.model, parts.policy.reference)
    )


@pytest.mark.parametrize("cut", [["optimizer.minibatches=1"], ["optimizer.minibatches=2"]])
def test_padding_that_counts_is_told_before_a_weight_moves(cut: list[str], tmp_path: Path) -> None:
    parts = parts_of(small(tmp_path, "algorithm=reinforce_pp", *cut))
    reads(parts, padding_counts)
    before = [weight.detach().clone() for weight in parts.policy.module.parameters()]
    with pytest.raises(RunFailed, match=r"the same log-probabilities scored in the batch and scored alone"):
        train_update(parts, initial_state(parts))
    assert all(torch.equal(a, b) for a, b in zip(before, parts.policy.module.parameters(), strict=True))


def test_dropout_is_told_with_one_minibatch(tmp_path: Path) -> None:
    parts = parts_of(small(tmp_path, "algorithm=reinforce_pp"))
    reads(parts, dropout)
    with pytest.raises(RunFailed, match="at update 0"):
        train_update(parts, initial_state(parts))


def test_a_wrong_log_probability_in_the_scoring_pass_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one minibatch the pass that trains is the one that scored: their ratio is 1 whatever it says."""
    right = stages.score_with_pass

    def wrong(*given: Any, **options: Any) -> Any:
        scored, seen = right(*given, **options)
        assert seen is not None
        moved = seen.stats.logp_tok + 0.01
        return replace(scored, logp_old_tok=moved.detach()), replace(seen, stats=replace(seen.stats, logp_tok=moved))

    parts = parts_of(small(tmp_path, "algorithm=reinforce_pp"))
    monkeypatch.setattr(loop.stages, "score_with_pass", wrong)
    with pytest.raises(RunFailed, match=r"got a mean difference of 0\.01"):
        train_update(parts, initial_state(parts))


def test_what_the_sampler_says_is_compared_too(tmp_path: Path) -> None:
    parts = parts_of(small(tmp_path, "algorithm=reinforce_pp"))

    class Engine:
        """An engine that reports probabilities at another temperature than it is scored at."""

        def __init__(self, sampler: Any) -> None:
            self._sampler = sampler

        def __getattr__(self, name: str) -> Any:
            return getattr(self._sampler, name)

        def sample(self, policy: Any, prompts: Any, seeds: Any) -> Rollout:
            rollout = self._sampler.sample(policy, prompts, seeds)
            return replace(rollout, logp_rollout_tok=rollouts._log_probs(parts, rollout) - 0.15)

    engine = replace(parts, rollout=Engine(parts.rollout))
    with pytest.raises(RunFailed, match=r"the same log-probabilities sampled and scored alone .* of 0\.15"):
        train_update(engine, initial_state(engine))


def test_a_sound_run_scores_every_response_as_alone_to_rounding(tmp_path: Path) -> None:
    parts = parts_of(small(tmp_path, "algorithm=reinforce_pp"))
    _, rollout = rollouts.next_rollout(parts, initial_state(parts))
    scored = stages.score_tokens(parts, rollout, *score_rewards(parts, rollout))
    alone = start.score_alone(parts, rollout)
    mask = rollout.mask[: start.ROWS_ALONE]
    assert not rollout.prompts.mask.all(), "some prompt is padded"
    assert (scored.logp_old_tok[: start.ROWS_ALONE] - alone)[mask].abs().max() < 1e-5
    start.check_start(parts, scored, stages.observe(scored))


def test_sixteen_bits_may_round_by_what_a_chat_model_of_135_million_weights_does(tmp_path: Path) -> None:
    """0.05 nats a token were measured there, and 0.22 for the least fault: docs/log.md."""
    parts = parts_of(small(tmp_path, "algorithm=reinforce_pp"))
    _, rollout = rollouts.next_rollout(parts, initial_state(parts))
    scored = stages.score_tokens(parts, rollout, *score_rewards(parts, rollout))
    signals = stages.observe(scored)
    for apart, dtype, refused in (
        (0.06, torch.bfloat16, False),
        (0.2, torch.bfloat16, True),
        (0.06, torch.float32, True),
    ):
        moved = replace(scored, logp_old_tok=scored.logp_old_tok + apart, hidden_ref=scored.hidden_ref.to(dtype))
        with pytest.raises(RunFailed, match="scored in the batch") if refused else nullcontext():
            start.check_start(parts, moved, signals)
