"""The reward that RL sees: a Bradley-Terry model of noisy preferences between the policy's own responses.

    loss = -log sigmoid(z_chosen - z_rejected),   reward = sigmoid(z - z_mean)

z_mean, the mean over the training responses, moves no preference and puts a response of average worth at one half.
Ref: Ouyang et al. 2022, arXiv 2203.02155, eq. 1; label noise as Gao et al. 2022, arXiv 2210.10760, section 2.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, pstdev

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
)

from safelab.maths.preference import accuracy, margin_of_halves
from safelab.supervised.bradley_terry import bradley_terry_loss
from safelab.supervised.rows import ids_of
from safelab.world.language_model import Sampled, response_rows
from safelab.world.options import WorldOptions, WorldRewardModelOptions
from safelab.world.preferences import LabelledPair, drawn
from safelab.world.quiet import without_bars
from safelab.world.teaching import Progress, teach_epochs, titled

SCORING_BATCH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardModel:
    """A sequence classifier with one output, read at the last token, and the tokenizer of its text."""

    model: LlamaForSequenceClassification
    tokenizer: PreTrainedTokenizerFast
    z_mean: float

    def save(self, directory: Path) -> None:
        """Weights and tokenizer as ``transformers`` loads them; ``z_mean`` is a key of ``config.json``."""
        self.model.config.reward_mean = self.z_mean
        with without_bars():
            self.model.save_pretrained(directory)
            self.tokenizer.save_pretrained(directory)


def load_reward_model(directory: Path, device: torch.device) -> RewardModel:
    """What ``make_reward_model`` saved."""
    with without_bars():
        model = LlamaForSequenceClassification.from_pretrained(directory).to(device).eval()
        tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=False)
    return RewardModel(model=model, tokenizer=tokenizer, z_mean=model.config.reward_mean)


def make_reward_model(
    world: WorldOptions, seed: int, policy_directory: Path, directory: Path, progress: Progress
) -> dict[str, float]:
    """Trains the reward model of ``seed`` on pairs that the policy sampled, and saves it.

    Returns:
        What was measured: accuracy on held-out pairs with clean labels, mean and deviation of the reward over the
        training responses, seconds.
    """
    started = time.monotonic()
    with drawn(world, seed, policy_directory, progress) as preferences:
        policy, tokenizer, training = preferences.policy, preferences.tokenizer, preferences.training
        reward_model = train_reward_model(policy, tokenizer, training, world.reward_model, preferences.rng, progress)
        share = held_out_accuracy(reward_model, preferences.held_out)
        rewards = score(reward_model, [side for pair in training for side in (pair.chosen, pair.rejected)])
    reward_model.save(directory)
    return {
        "accuracy": share,
        "reward_mean": fmean(rewards),
        "reward_deviation": pstdev(rewards),
        "seconds": time.monotonic() - started,
    }


def train_reward_model(
    policy: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    pairs: Sequence[LabelledPair],
    options: WorldRewardModelOptions,
    rng: random.Random,
    progress: Progress,
) -> RewardModel:
    """The policy's own layers under a fresh linear head, all of them trained."""
    config = LlamaConfig.from_dict(policy.config.to_diff_dict() | {"num_labels": 1})
    model = LlamaForSequenceClassification(config)
    model.model.load_state_dict(policy.model.state_dict())
    # z starts with a deviation of about 1: from a head near zero some seeds learned next to nothing in three epochs.
    torch.nn.init.normal_(model.score.weight, std=config.hidden_size**-0.5)
    untaught = RewardModel(model=model, tokenizer=tokenizer, z_mean=0.0)
    teach_epochs(Judgement(untaught), pairs, options, rng, titled("reward model", progress))
    responses = [side for pair in pairs for side in (pair.chosen, pair.rejected)]
    return replace(untaught, z_mean=fmean(all_logits(untaught, responses)))


@dataclass(frozen=True, slots=True)
class Judgement:
    """``supervised.Lesson``: the better response is to have the higher z."""

    reward_model: RewardModel

    @property
    def model(self) -> LlamaForSequenceClassification:
        """The classifier."""
        return self.reward_model.model

    def count(self, pairs: Sequence[LabelledPair]) -> int:
        """Pairs."""
        return len(pairs)

    def loss_sum(self, pairs: Sequence[LabelledPair]) -> Float[Tensor, ""]:
        """-log sigmoid(z_chosen - z_rejected), summed."""
        z = logits(self.reward_model, [pair.chosen for pair in pairs] + [pair.rejected for pair in pairs])
        return bradley_terry_loss(margin_of_halves(z)).sum()


def logits(reward_model: RewardModel, responses: Sequence[Sampled]) -> Float[Tensor, "b"]:
    """Z of each response at its last token, which is the end token where it was given; carries gradient."""
    rows = response_rows(reward_model.tokenizer, responses)
    ids = ids_of(rows).to(reward_model.model.device)
    last = torch.tensor([len(row.prompt) + len(row.answer) - 1 for row in rows], device=ids.device)
    hidden = reward_model.model.model(input_ids=ids, use_cache=False).last_hidden_state
    z: Tensor = reward_model.model.score(hidden[torch.arange(len(rows), device=ids.device), last])
    return z.squeeze(-1)


@torch.no_grad()
def all_logits(reward_model: RewardModel, responses: Sequence[Sampled]) -> list[float]:
    """Z of each response, in batches."""
    starts = range(0, len(responses), SCORING_BATCH)
    return [z for start in starts for z in logits(reward_model, responses[start : start + SCORING_BATCH]).tolist()]


def score(reward_model: RewardModel, responses: Sequence[Sampled]) -> list[float]:
    """The reward of each response: sigmoid(z - z_mean), in [0, 1]."""
    z = torch.tensor(all_logits(reward_model, responses), dtype=torch.float64)
    rewards: list[float] = torch.sigmoid(z - reward_model.z_mean).tolist()
    return rewards


def held_out_accuracy(reward_model: RewardModel, pairs: Sequence[LabelledPair]) -> float:
    """Share of the pairs whose better response has the higher z; a tie counts half."""
    chosen = all_logits(reward_model, [pair.chosen for pair in pairs])
    rejected = all_logits(reward_model, [pair.rejected for pair in pairs])
    return accuracy(torch.tensor(chosen) - torch.tensor(rejected))
