"""The value model of DVPO: which answer is the better one, told after every token; trained once, then frozen.

It learns from the pairs of its seed's reward model, on a copy of the policy's layers, from a head of zeros; the loss
and its source: see ``supervised.token_value``.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import pstdev

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForTokenClassification, PreTrainedTokenizerFast

from safelab.maths.masked import sequence_mean
from safelab.maths.preference import accuracy
from safelab.supervised.rows import Row
from safelab.supervised.token_value import last_value, state_count, state_values, value_loss_sum
from safelab.world.language_model import response_rows
from safelab.world.options import ValueModelOptions, WorldOptions
from safelab.world.preferences import LabelledPair, drawn
from safelab.world.quiet import without_bars
from safelab.world.teaching import Progress, teach_epochs, titled


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """The tokens of a response and its label y: 1 or -1."""

    row: Row
    label: float


def make_value_model(
    world: WorldOptions, seed: int, policy_directory: Path, directory: Path, progress: Progress
) -> dict[str, float]:
    """Trains the value model of ``seed`` and saves it with the policy's tokenizer, as ``transformers`` loads them.

    Returns:
        What was measured on held-out pairs with clean labels: share of those whose better answer has the higher value
        at the last token (``accuracy``) and on average over its states; deviation of the last values; seconds.
    """
    started = time.monotonic()
    with drawn(world, seed, policy_directory, progress) as preferences:
        policy, tokenizer, training = preferences.policy, preferences.tokenizer, preferences.training
        model = train_value_model(policy, tokenizer, training, world.value_model, preferences.rng, progress)
        measured = measure_value_model(model, tokenizer, preferences.held_out)
    with without_bars():
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)
    return measured | {"seconds": time.monotonic() - started}


def train_value_model(
    policy: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    pairs: Sequence[LabelledPair],
    options: ValueModelOptions,
    rng: random.Random,
    progress: Progress,
) -> LlamaForTokenClassification:
    """All layers and the head, by AdamW over single responses."""
    better = response_rows(tokenizer, [pair.chosen for pair in pairs])
    worse = response_rows(tokenizer, [pair.rejected for pair in pairs])
    answers = [Labelled(row=row, label=1.0) for row in better] + [Labelled(row=row, label=-1.0) for row in worse]
    lesson = StateLabels(fresh_value_model(policy))
    teach_epochs(lesson, answers, options, rng, titled("value model", progress))
    return lesson.model


@dataclass(frozen=True, slots=True)
class StateLabels:
    """``supervised.Lesson``: every state of an answer is told the answer's label."""

    model: LlamaForTokenClassification

    def count(self, answers: Sequence[Labelled]) -> int:
        """States."""
        return state_count([answer.row for answer in answers])

    def loss_sum(self, answers: Sequence[Labelled]) -> Float[Tensor, ""]:
        """0.5 (V - y)^2, summed over states."""
        return value_loss_sum(self.model, [answer.row for answer in answers], [answer.label for answer in answers])


def fresh_value_model(policy: LlamaForCausalLM) -> LlamaForTokenClassification:
    """The policy's layers under a head of zeros: V = 0 everywhere, and no dropout."""
    config = LlamaConfig.from_dict(policy.config.to_diff_dict() | {"num_labels": 1, "classifier_dropout": 0.0})
    model = LlamaForTokenClassification(config)
    model.model.load_state_dict(policy.model.state_dict())
    for weight in model.score.parameters():
        torch.nn.init.zeros_(weight)
    return model


@torch.no_grad()
def measure_value_model(
    model: LlamaForTokenClassification, tokenizer: PreTrainedTokenizerFast, pairs: Sequence[LabelledPair]
) -> dict[str, float]:
    """How well it tells the better answer of pairs that it has not seen; a tie counts half."""
    last, mean = [], []
    for side in ([pair.chosen for pair in pairs], [pair.rejected for pair in pairs]):
        values, states = state_values(model, response_rows(tokenizer, side))
        last.append(last_value(values, states))
        mean.append(sequence_mean(values, states))
    return {
        "accuracy": accuracy(last[0] - last[1]),
        "accuracy_of_mean": accuracy(mean[0] - mean[1]),
        "value_deviation": pstdev(torch.cat(last).tolist()),
    }
