"""A random Llama of two thousand weights with a dozen words, and the overrides of a run of seconds on it."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

WORDS = ("<pad>", "<end>", "<unk>", "a", "b", "c", "d", "e", "f", "good", "bad", "token")
PROMPTS = ("a b c", "d e", "f", "a", "c d e f", "b b")


def write_model(directory: Path, tied: bool = False) -> None:
    """Weights and tokenizer; ``tied``: the head is the embedding."""
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=tied,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = LlamaForCausalLM(config)
        for weight in model.parameters():
            # The default initialisation is so small that every distribution would be uniform.
            weight.data.mul_(6.0 if weight.ndim > 1 else 1.0)
    # A checkpoint's own sampling defaults, which training must not follow.
    model.generation_config.do_sample, model.generation_config.top_k = True, 3
    model.save_pretrained(directory)
    words = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="<end>", unk_token="<unk>", padding_side="left"
    ).save_pretrained(directory)


def share_of_good(prompts: Sequence[str], responses: Sequence[str]) -> list[float]:
    """A reward: how much of a response is the word ``good``."""
    return [response.split().count("good") / max(1, len(response.split())) for response in responses]


def overrides(folder: Path) -> list[str]:
    """A run of seconds on this model, which is written to ``folder``."""
    model, prompts = folder / "model", folder / "prompts.txt"
    if not model.exists():
        write_model(model)
    prompts.write_text("\n".join(PROMPTS) + "\n")
    return [
        "policy=local",
        "threads=1",
        f"policy.path={model}",
        "data=text",
        f"data.path={prompts}",
        "reward=function",
        f"reward.name='{__name__}:share_of_good'",
        "rollout.batch_size=8",
        "rollout.max_new_tokens=6",
    ]
