"""The policy of an embedded world: a small Llama trained on texts of its language until it writes like them."""

import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean, pstdev

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from safelab.maths.seeds import derive_seed
from safelab.supervised.rows import Row, cut, ids_of
from safelab.supervised.sft import IGNORED, answer_count, answer_labels, answer_loss_sum
from safelab.world.languages import Text, language_of
from safelab.world.options import LanguageModelOptions, WorldOptions
from safelab.world.quiet import without_bars
from safelab.world.reproducible import reproducible
from safelab.world.teaching import Progress, teach, titled
from safelab.world.tokenizer import build_tokenizer, encode_texts

HELD_OUT_TEXTS = 1024
SAMPLES_MEASURED = 1024
SAMPLING_BATCH = 256
BATCHES_SORTED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """One response of the policy; ``ended``: whether it gave its end token."""

    prompt: str
    response: str
    ended: bool


def make_language_model(world: WorldOptions, directory: Path, progress: Progress) -> dict[str, float]:
    """Trains the policy of ``world.seed`` and saves it with its tokenizer, as ``transformers`` loads them.

    Returns:
        What was measured: perplexity of held-out texts, entropy (nats per token), share of samples that have the
        language's form, gold score of the samples, parameters, seconds.
    """
    started = time.monotonic()
    tokenizer = build_tokenizer(language_of(world).words())
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
    """A fresh model, trained on the responses of an endless stream of texts; prompts carry no loss."""
    options = world.language_model
    rng = random.Random(derive_seed(world.seed, "language_model", "reviews"))
    texts = language_of(world).texts(rng, options.steps * options.batch_size)
    batches = like_batches(texts, rng, options.batch_size)
    lesson = Writing(LlamaForCausalLM(llama_config(options, tokenizer)))
    rows = (response_rows(tokenizer, batch) for batch in batches)
    teach(lesson, rows, options.lr, options.warmup_steps, options.steps, titled("language model", progress))
    return lesson.model


@dataclass(frozen=True, slots=True)
class Writing:
    """``supervised.Lesson``: the policy learns to write responses; prompts carry no loss."""

    model: LlamaForCausalLM

    def count(self, rows: Sequence[Row]) -> int:
        """Tokens of the responses, with their ends."""
        return answer_count(rows)

    def loss_sum(self, rows: Sequence[Row]) -> Float[Tensor, ""]:
        """Negative log-probability of the responses, in nats."""
        return answer_loss_sum(self.model, rows)


def like_batches(texts: Iterator[Text], rng: random.Random, batch_size: int) -> Iterator[list[Sampled]]:
    """Endless batches of texts of like length, which saves a quarter of the padding; their order is random."""
    while True:
        some = [whole(text) for text in islice(texts, batch_size * BATCHES_SORTED)]
        batches = list(cut(sorted(some, key=lambda each: len(each.response.split())), batch_size))
        while batches:
            yield batches.pop(int(rng.random() * len(batches)))


def whole(text: Text) -> Sampled:
    """A text with its end, as the policy is to write it."""
    prompt, response = text
    return Sampled(prompt=prompt, response=response, ended=True)


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


def response_rows(tokenizer: PreTrainedTokenizerFast, responses: Sequence[Sampled]) -> list[Row]:
    """Prompts and responses as tokens, with the end token where it was given."""
    prompts = encode_texts(tokenizer, [each.prompt for each in responses])
    texts = encode_texts(tokenizer, [each.response for each in responses])
    ends = [[tokenizer.eos_token_id] * each.ended for each in responses]
    return [Row(prompt, text + end) for prompt, text, end in zip(prompts, texts, ends, strict=True)]


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
    """How well the policy writes: on texts that it was not trained on, and by what it samples."""
    language = language_of(world)
    rng = random.Random(derive_seed(world.seed, "language_model", "held_out"))
    rows = response_rows(tokenizer, [whole(language.text(rng)) for _ in range(HELD_OUT_TEXTS)])
    logits, labels = model(input_ids=ids_of(rows), use_cache=False).logits[:, :-1], answer_labels(rows)[:, 1:]
    logp = logits.log_softmax(dim=-1)[labels != IGNORED]
    loss = functional.nll_loss(logp, labels[labels != IGNORED])
    prompts = [language.prompt(rng) for _ in range(SAMPLES_MEASURED)]
    samples = sample_responses(model, tokenizer, prompts, world.language_model.max_new_tokens)
    gold = [language.judge(each.prompt, each.response, each.ended) for each in samples]
    return {
        "parameters": float(sum(parameter.numel() for parameter in model.parameters())),
        "perplexity": math.exp(loss.item()),
        "entropy_token": -(logp.exp() * logp).sum(dim=-1).mean().item(),
        "grammatical_share": fmean(each.ended and language.is_whole(each.prompt, each.response) for each in samples),
        "gold_mean": fmean(gold),
        "gold_deviation": pstdev(gold),
    }
