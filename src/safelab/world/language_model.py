"""The policy of the embedded world: a small Llama trained on reviews until it writes them well."""

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from safelab.maths.seeds import derive_seed
from safelab.world.gold import gold_score
from safelab.world.grammar import is_review, sample_prompt, sample_review
from safelab.world.options import LanguageModelOptions, WorldOptions
from safelab.world.quiet import without_bars
from safelab.world.reproducible import reproducible
from safelab.world.tokenizer import build_tokenizer, encode_texts

Progress = Callable[[str], None]

IGNORED = -100
"""Label of a position that the loss leaves out."""
MAX_GRAD_NORM = 1.0
HELD_OUT_REVIEWS = 1024
SAMPLES_MEASURED = 1024
SAMPLING_BATCH = 256
BATCHES_SORTED = 8
REPORTS = 20
"""Progress lines of one training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """One response of the policy; ``ended``: whether it gave its end token."""

    prompt: str
    response: str
    ended: bool


def make_language_model(world: WorldOptions, directory: Path, progress: Progress) -> dict[str, float]:
    """Trains the policy of ``world.seed`` and saves it with its tokenizer, as ``transformers`` loads them.

    Returns:
        What was measured: perplexity of held-out reviews, entropy (nats per token), share of samples that are
        reviews, gold score of the samples, parameters, seconds.
    """
    started = time.monotonic()
    tokenizer = build_tokenizer()
    with reproducible(derive_seed(world.seed, "language_model", "weights")):
        model = train_language_model(world, tokenizer, progress)
        measured = measure_language_model(model, tokenizer, world)
    with without_bars():
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)
    return measured | {"seconds": time.monotonic() - started}


def train_language_model(
    world: WorldOptions, tokenizer: PreTrainedTokenizerFast, progress: Progress
) -> LlamaForCausalLM:
    """A fresh model, trained on the responses of an endless stream of reviews; prompts carry no loss."""
    options = world.language_model
    batches = review_batches(random.Random(derive_seed(world.seed, "language_model", "reviews")), options.batch_size)
    model = LlamaForCausalLM(llama_config(options, tokenizer))
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.lr, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: slope(step, options.warmup_steps, options.steps)
    )
    report = max(1, options.steps // REPORTS)
    for step in range(1, options.steps + 1):
        loss = response_loss(model, *review_batch(tokenizer, next(batches)))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRAD_NORM)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % report == 0:
            progress(f"language model: step {step} of {options.steps}, perplexity {math.exp(loss.item()):.2f}")
    return model.eval()


def review_batches(rng: random.Random, batch_size: int) -> Iterator[list[tuple[str, str]]]:
    """Endless batches of reviews of like length, which saves a quarter of the padding; their order is random."""
    while True:
        reviews = sorted(
            (sample_review(rng) for _ in range(batch_size * BATCHES_SORTED)), key=lambda row: len(row[1].split())
        )
        batches = [reviews[start : start + batch_size] for start in range(0, len(reviews), batch_size)]
        while batches:
            yield batches.pop(int(rng.random() * len(batches)))


def llama_config(options: LanguageModelOptions, tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """The architecture; input and output embeddings are one matrix."""
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=options.width,
        intermediate_size=options.mlp_width,
        num_hidden_layers=options.layers,
        num_attention_heads=options.heads,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def slope(step: int, warmup: int, steps: int) -> float:
    """Share of the highest learning rate: up to 1 in ``warmup`` steps, then down to 0 at ``steps``, both straight."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return max(0.0, (steps - step) / max(1, steps - warmup))


def review_batch(
    tokenizer: PreTrainedTokenizerFast, reviews: Sequence[tuple[str, str]]
) -> tuple[Int[Tensor, "b s"], Int[Tensor, "b s"]]:
    """Prompt, response and end token as ids padded on the right, and labels that are ``IGNORED`` but for the response.

    Padding on the right needs no attention mask: a causal model does not look there.
    """
    prompts = encode_texts(tokenizer, [prompt for prompt, _ in reviews])
    responses = encode_texts(tokenizer, [response for _, response in reviews])
    end = [tokenizer.eos_token_id]
    ids = [prompt + response + end for prompt, response in zip(prompts, responses, strict=True)]
    labels = [[IGNORED] * len(prompt) + response + end for prompt, response in zip(prompts, responses, strict=True)]
    return pad_right(ids, tokenizer.pad_token_id), pad_right(labels, IGNORED)


def pad_right(rows: Sequence[Sequence[int]], value: int) -> Int[Tensor, "b s"]:
    """Rows of unequal length as one tensor."""
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])


def response_loss(model: LlamaForCausalLM, ids: Int[Tensor, "b s"], labels: Int[Tensor, "b s"]) -> Float[Tensor, ""]:
    """Mean of -log p over the labelled tokens, in nats."""
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
    return functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED)


@torch.no_grad()
def sample_responses(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: Sequence[str], max_new_tokens: int
) -> list[Sampled]:
    """One response per prompt at sampling temperature 1 from the whole distribution, by torch's global generator."""
    settings = GenerationConfig(
        do_sample=True,
        top_k=0,
        top_p=1.0,
        max_new_tokens=max_new_tokens,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    sampled: list[Sampled] = []
    for start in range(0, len(prompts), SAMPLING_BATCH):
        batch = prompts[start : start + SAMPLING_BATCH]
        inputs = tokenizer(batch, return_tensors="pt", padding=True, return_token_type_ids=False)
        ids = model.generate(**inputs, generation_config=settings)[:, inputs["input_ids"].shape[1] :]
        texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
        ended = (ids == tokenizer.eos_token_id).any(dim=1).tolist()
        rows = zip(batch, texts, ended, strict=True)
        sampled += [Sampled(prompt=prompt, response=text, ended=end) for prompt, text, end in rows]
    return sampled


@torch.no_grad()
def measure_language_model(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, world: WorldOptions
) -> dict[str, float]:
    """How well the policy writes: on reviews that it was not trained on, and by what it samples."""
    rng = random.Random(derive_seed(world.seed, "language_model", "held_out"))
    ids, labels = review_batch(tokenizer, [sample_review(rng) for _ in range(HELD_OUT_REVIEWS)])
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
    logp = logits.log_softmax(dim=-1)[labels[:, 1:] != IGNORED]
    loss = functional.nll_loss(logp, labels[:, 1:][labels[:, 1:] != IGNORED])
    prompts = [sample_prompt(rng) for _ in range(SAMPLES_MEASURED)]
    samples = sample_responses(model, tokenizer, prompts, world.language_model.max_new_tokens)
    gold = [gold_score(each.prompt, each.response, each.ended) for each in samples]
    return {
        "parameters": float(sum(parameter.numel() for parameter in model.parameters())),
        "perplexity": math.exp(loss.item()),
        "entropy_token": -(logp.exp() * logp).sum(dim=-1).mean().item(),
        "grammatical_share": fmean(each.ended and is_review(each.prompt, each.response) for each in samples),
        "gold_mean": fmean(gold),
        "gold_deviation": pstdev(gold),
    }
