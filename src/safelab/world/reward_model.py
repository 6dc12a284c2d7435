"""The reward that RL sees: a Bradley-Terry model of noisy preferences between the policy's own responses.

    loss = -log sigmoid(z_chosen - z_rejected),   reward = sigmoid(z - z_mean)

z_mean, the mean over the training responses, moves no preference and puts a response of average worth at one half.
Ref: Ouyang et al. 2022, arXiv 2203.02155, eq. 1; label noise as Gao et al. 2022, arXiv 2210.10760, section 2.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, pstdev

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
)

from safelab.maths.seeds import derive_seed
from safelab.world.language_model import MAX_GRAD_NORM, Sampled, pad_right, slope
from safelab.world.options import RewardModelOptions, WorldOptions
from safelab.world.preferences import Preference, draw_preferences
from safelab.world.quiet import without_bars
from safelab.world.reproducible import reproducible
from safelab.world.tokenizer import encode_texts

Progress = Callable[[str], None]

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
        tokenizer = AutoTokenizer.from_pretrained(directory)
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
    options = world.reward_model
    with reproducible(derive_seed(world.seed, "reward_model", seed, "torch")):
        with without_bars():
            policy = LlamaForCausalLM.from_pretrained(policy_directory)
            tokenizer = AutoTokenizer.from_pretrained(policy_directory)
        rng = random.Random(derive_seed(world.seed, "reward_model", seed))
        training, held_out = draw_preferences(world, policy, tokenizer, rng, progress)
        reward_model = train_reward_model(policy, tokenizer, training, options, rng, progress)
        accuracy = held_out_accuracy(reward_model, held_out)
        rewards = score(reward_model, [side for pair in training for side in (pair.chosen, pair.rejected)])
    reward_model.save(directory)
    return {
        "accuracy": accuracy,
        "reward_mean": fmean(rewards),
        "reward_deviation": pstdev(rewards),
        "seconds": time.monotonic() - started,
    }


def train_reward_model(
    policy: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    pairs: Sequence[Preference],
    options: RewardModelOptions,
    rng: random.Random,
    progress: Progress,
) -> RewardModel:
    """The policy's own layers under a fresh linear head, all of them trained."""
    config = LlamaConfig.from_dict(policy.config.to_diff_dict() | {"num_labels": 1})
    model = LlamaForSequenceClassification(config)
    model.model.load_state_dict(policy.model.state_dict())
    # z starts with a deviation of about 1: from a head near zero some seeds learned next to nothing in three epochs.
    torch.nn.init.normal_(model.score.weight, std=config.hidden_size**-0.5)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.lr, weight_decay=0.0)
    steps = options.epochs * -(-len(pairs) // options.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: slope(step, steps // 10, steps))
    reward_model = RewardModel(model=model, tokenizer=tokenizer, z_mean=0.0)
    for epoch in range(options.epochs):
        progress(f"reward model: epoch {epoch + 1} of {options.epochs}")
        for batch in _batches(pairs, options.batch_size, rng):
            z = logits(reward_model, [pair.chosen for pair in batch] + [pair.rejected for pair in batch])
            bradley_terry_loss(*z.chunk(2)).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRAD_NORM)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    model.eval()
    responses = [side for pair in pairs for side in (pair.chosen, pair.rejected)]
    return replace(reward_model, z_mean=fmean(all_logits(reward_model, responses)))


def bradley_terry_loss(z_chosen: Float[Tensor, "b"], z_rejected: Float[Tensor, "b"]) -> Float[Tensor, ""]:
    """Mean of -log sigmoid(z_chosen - z_rejected); log 2 where both are equal."""
    return -functional.logsigmoid(z_chosen - z_rejected).mean()


def logits(reward_model: RewardModel, responses: Sequence[Sampled]) -> Float[Tensor, "b"]:
    """Z of each response at its last token, which is the end token where it was given; carries gradient."""
    tokenizer = reward_model.tokenizer
    texts = encode_texts(tokenizer, [f"{each.prompt} {each.response}" for each in responses])
    rows = [ids + [tokenizer.eos_token_id] * each.ended for ids, each in zip(texts, responses, strict=True)]
    ids = pad_right(rows, tokenizer.pad_token_id).to(reward_model.model.device)
    last = torch.tensor([len(row) - 1 for row in rows], device=ids.device)
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


def held_out_accuracy(reward_model: RewardModel, pairs: Sequence[Preference]) -> float:
    """Share of the pairs whose better response has the higher z; a tie counts as wrong."""
    chosen = all_logits(reward_model, [pair.chosen for pair in pairs])
    rejected = all_logits(reward_model, [pair.rejected for pair in pairs])
    return fmean(better > worse for better, worse in zip(chosen, rejected, strict=True))


def _batches(pairs: Sequence[Preference], size: int, rng: random.Random) -> Iterator[list[Preference]]:
    # Sorted by random numbers: Python fixes the sequence of random() for good, but not that of shuffle().
    order = sorted(range(len(pairs)), key=lambda _: rng.random())
    for start in range(0, len(order), size):
        yield [pairs[index] for index in order[start : start + size]]
