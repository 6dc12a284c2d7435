"""The whole loss of the released trainers, beside one written anew from their formulas, on rows that end in padding.

As they do it: the model gets ids and attention mask and no positions, so that its positions count on through the
padding; the value is read in the last column, whatever stands there; the entropy is averaged over all columns.
Ref: SAFE's released ``safe/trainers``, with the numbers of docs/algorithms/safe.md.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from safelab.training import rollouts, stages
from safelab.training.losses import counts, gradient, loss_terms
from safelab.training.rewards import score_rewards
from support.runs import parts_of, small


def huber(error: np.ndarray, delta: float = 0.5) -> np.ndarray:
    size = np.abs(error)
    return np.where(size <= delta, error**2 / 2, delta * (size - delta / 2))


class Released:
    """One pass of the released code over prompts and responses: no positions are given."""

    def __init__(self, parts, rollout, temperature: float) -> None:
        ids = torch.cat([rollout.prompts.ids, rollout.ids], dim=1)
        attended = torch.cat([rollout.prompts.mask, rollout.mask], dim=1).long()
        module, critic = parts.policy.module, parts.critic.module
        states = module(input_ids=ids, attention_mask=attended, output_hidden_states=True)
        start = rollout.prompts.ids.shape[1] - 1
        self.logp = torch.log_softmax(states.logits[:, start:-1] / temperature, dim=-1)
        self.last = states.hidden_states[-1][:, -1]
        heads = torch.cat([head(critic.norm(self.last)) for head in critic.heads], dim=-1)
        alpha = 0.3
        soft = -alpha * (torch.logsumexp(-heads / alpha, dim=-1) - np.log(heads.shape[-1]))
        self.value = (soft if heads.shape[-1] > 1 else heads[:, 0]).detach().double().numpy()
        self.logp = self.logp.detach().double()
        self.chosen = self.logp.gather(-1, rollout.ids.unsqueeze(-1)).squeeze(-1).numpy()


def released_loss(now: Released, old: Released, rollout, reward: np.ndarray, safe: bool) -> dict[str, float]:
    """Each term with its coefficient, in float64; SAFE's penalty is a constant and has no place here."""
    mask = rollout.mask.numpy()
    advantage = reward - old.value
    advantage = ((advantage - advantage.mean()) / advantage.std(ddof=1))[:, None]
    ratio = np.exp(now.chosen - old.chosen)
    surrogate = np.minimum(ratio * advantage, np.clip(ratio, 0.8, 1.2) * advantage)
    terms = {"policy": -(surrogate * mask).sum() / mask.sum()}
    if safe:
        clipped = old.value + np.clip(now.value - old.value, -0.2, 0.2)
        terms["value"] = 0.5 * 0.5 * (huber(now.value - reward) + huber(clipped - reward)).mean()
        logp = now.logp.numpy()
        terms["entropy"] = -0.01 * -(np.exp(logp) * logp).sum(-1).mean()
    else:
        terms["value"] = 1.0 * 0.5 * ((now.value - reward) ** 2).mean()
        # The policy before the step is the reference here.
        terms["kl"] = 0.05 * ((now.chosen - old.chosen) * mask).sum() / mask.sum()
    return terms


@pytest.mark.parametrize("algorithm", ["safe_released", "ppo_released"])
def test_it_is_the_released_loss_where_rows_end_in_padding(algorithm: str, tmp_path: Path) -> None:
    parts = parts_of(
        small(tmp_path, f"algorithm={algorithm}", "rollout.batch_size=24", "rollout.max_new_tokens=12",
              "rollout.samples_per_prompt=1")
    )  # fmt: skip
    rollout = rollouts.roll_out(parts, rollouts.draw_prompts(parts, 0), 0)
    assert 0.3 < float(rollout.mask[:, -1].logical_not().float().mean()) < 1.0, "most rows end in padding"
    scored = stages.score_tokens(parts, rollout, *score_rewards(parts, rollout))
    shaped = torch.tensor([(5 * row % 24) / 8 - 1 for row in range(24)])
    plan = parts.controller.plan(parts.controller.init())
    batch = stages.make_batch(parts, scored, shaped, plan)
    old = Released(parts, rollout, 1.0)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in [*parts.policy.module.parameters(), *parts.critic.module.parameters()]:
            weight.add_(0.05 * torch.randn_like(weight))
    now = Released(parts, rollout, 1.0)
    assert np.abs(now.chosen - old.chosen).max() > 0.2, "some ratios are clipped"

    found = loss_terms(parts, plan, batch, counts(batch), objective=parts.objective.init())
    expected = released_loss(now, old, rollout, shaped.double().numpy(), safe=algorithm == "safe_released")
    assert {name: float(term) for name, term in found.weighted.items()} == pytest.approx(expected, abs=1e-5)


def test_the_last_column_is_that_of_a_pass_without_positions(tmp_path: Path) -> None:
    parts = parts_of(small(tmp_path, "algorithm=safe_released", "rollout.batch_size=24", "rollout.max_new_tokens=12"))
    rollout = rollouts.roll_out(parts, rollouts.draw_prompts(parts, 0), 0)
    inputs = rollout.prompts.ids, rollout.prompts.mask, rollout.ids, rollout.mask
    hidden = parts.policy.model.hidden(*inputs)
    released = Released(parts, rollout, 1.0)
    torch.testing.assert_close(hidden[:, -1], released.last, atol=1e-5, rtol=1e-5)
    # Real tokens are what they are without the padding.
    for row in range(4):
        length = int(rollout.mask[row].sum())
        prompt, response = rollout.prompts.ids[row][rollout.prompts.mask[row]], rollout.ids[row, :length]
        alone = parts.policy.module(input_ids=torch.cat([prompt, response])[None], output_hidden_states=True)
        torch.testing.assert_close(
            hidden[row, : length + 1], alone.hidden_states[-1][0, len(prompt) - 1 :], atol=1e-5, rtol=1e-5
        )
    assert gradient(hidden[:, -1].sum(), parts.policy.module).abs().max() > 0
