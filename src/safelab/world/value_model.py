"""The value model of DVPO: which answer is the better one, told after every token; trained once, then frozen.

    loss = mean over states of 0.5 (V - y)^2,   y = 1 for the states of a better answer, -1 for those of a worse one

An answer of n tokens has n + 1 states: the prompt's end, and where each token has just been written. It learns from
the pairs of its seed's reward model, on a copy of the policy's layers, from a head of zeros.

Deviation: the target is the label itself (the return at discount 1); the paper's is one step of temporal difference,
whose fixed point is the same, the authors' code has GAE's return with trace decay 0.95.
Ref: DVPO, arXiv 2502.16944, stage 1.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForTokenClassification,
    PreTrainedTokenizerFast,
)

from safelab.maths.seeds import derive_seed
from safelab.world.language_model import MAX_GRAD_NORM, Sampled, pad_right, slope
from safelab.world.options import ValueModelOptions, WorldOptions
from safelab.world.preferences import Preference, draw_preferences
from safelab.world.quiet import without_bars
from safelab.world.reproducible import reproducible
from safelab.world.tokenizer import encode_texts

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A response and its label y: 1 or -1."""

    response: Sampled
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
    # The reward model's own streams: from them the same pairs are drawn.
    with reproducible(derive_seed(world.seed, "reward_model", seed, "torch")):
        with without_bars():
            policy = LlamaForCausalLM.from_pretrained(policy_directory)
            tokenizer = AutoTokenizer.from_pretrained(policy_directory)
        rng = random.Random(derive_seed(world.seed, "reward_model", seed))
        training, held_out = draw_preferences(world, policy, tokenizer, rng, progress)
        model = train_value_model(policy, tokenizer, training, world.value_model, rng, progress)
        measured = measure_value_model(model, tokenizer, held_out)
    with without_bars():
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)
    return measured | {"seconds": time.monotonic() - started}


def train_value_model(
    policy: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    pairs: Sequence[Preference],
    options: ValueModelOptions,
    rng: random.Random,
    progress: Progress,
) -> LlamaForTokenClassification:
    """All layers and the head, by AdamW over single responses."""
    model = fresh_value_model(policy)
    answers = [Labelled(response=pair.chosen, label=1.0) for pair in pairs]
    answers += [Labelled(response=pair.rejected, label=-1.0) for pair in pairs]
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.lr, weight_decay=0.0)
    steps = options.epochs * -(-len(answers) // options.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: slope(step, steps // 10, steps))
    for epoch in range(options.epochs):
        progress(f"value model: epoch {epoch + 1} of {options.epochs}")
        for batch in _batches(answers, options.batch_size, rng):
            values, states = state_values(model, tokenizer, [answer.response for answer in batch])
            labels = torch.tensor([answer.label for answer in batch]).unsqueeze(1).expand_as(values)
            (0.5 * (values - labels)[states].square().mean()).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRAD_NORM)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    return model.eval()


def fresh_value_model(policy: LlamaForCausalLM) -> LlamaForTokenClassification:
    """The policy's layers under a head of zeros: V = 0 everywhere, and no dropout."""
    config = LlamaConfig.from_dict(policy.config.to_diff_dict() | {"num_labels": 1, "classifier_dropout": 0.0})
    model = LlamaForTokenClassification(config)
    model.model.load_state_dict(policy.model.state_dict())
    for weight in model.score.parameters():
        torch.nn.init.zeros_(weight)
    return model


def state_values(
    model: LlamaForTokenClassification, tokenizer: PreTrainedTokenizerFast, responses: Sequence[Sampled]
) -> tuple[Float[Tensor, "b s"], Bool[Tensor, "b s"]]:
    """V after every token of prompts and responses, and which of these are states of a response; carries gradient.

    Padding on the right needs no attention mask: a causal model does not look there.
    """
    prompts = encode_texts(tokenizer, [each.prompt for each in responses])
    texts = encode_texts(tokenizer, [each.response for each in responses])
    ends = [[tokenizer.eos_token_id] * each.ended for each in responses]
    rows = [prompt + text + end for prompt, text, end in zip(prompts, texts, ends, strict=True)]
    values = model(input_ids=pad_right(rows, tokenizer.pad_token_id), use_cache=False).logits[..., 0]
    column = torch.arange(values.shape[1])
    first, length = torch.tensor([len(prompt) - 1 for prompt in prompts]), torch.tensor([len(row) for row in rows])
    return values, (column >= first[:, None]) & (column < length[:, None])


@torch.no_grad()
def measure_value_model(
    model: LlamaForTokenClassification, tokenizer: PreTrainedTokenizerFast, pairs: Sequence[Preference]
) -> dict[str, float]:
    """How well it tells the better answer of pairs that it has not seen; a tie counts as wrong."""
    last, mean = [], []
    for side in ([pair.chosen for pair in pairs], [pair.rejected for pair in pairs]):
        values, states = state_values(model, tokenizer, side)
        last.append([float(row[seen][-1]) for row, seen in zip(values, states, strict=True)])
        mean.append([float(row[seen].mean()) for row, seen in zip(values, states, strict=True)])
    return {
        "accuracy": fmean(better > worse for better, worse in zip(*last, strict=True)),
        "accuracy_of_mean": fmean(better > worse for better, worse in zip(*mean, strict=True)),
        "value_deviation": pstdev(last[0] + last[1]),
    }


def _batches(answers: Sequence[Labelled], size: int, rng: random.Random) -> Iterator[list[Labelled]]:
    # Sorted by random numbers: Python fixes the sequence of random() for good, but not that of shuffle().
    order = sorted(range(len(answers)), key=lambda _: rng.random())
    for start in range(0, len(order), size):
        yield [answers[index] for index in order[start : start + size]]
