"""Random weights of published shapes and invented prompts of published forms, for a machine that reaches no hub."""

import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safelab.app.dry_run import shapes
from safelab.app.dry_run.shapes import PYTHIA_70M

END = "<|endoftext|>"

DISTILBERT = {
    "model_type": "distilbert", "dim": 768, "hidden_dim": 3072, "n_layers": 6, "n_heads": 12, "vocab_size": 30522,
    "max_position_embeddings": 512, "num_labels": 2,
}  # fmt: skip
"""Ref: the hub's copies of lvwerra/distilbert-imdb, ``config.json``."""

CLASSIFIERS: Mapping[str, Mapping[str, Any]] = {
    **shapes.CLASSIFIERS,
    "lvwerra/distilbert-imdb": DISTILBERT,
    **{f"models/rm-pythia-44m_seed{seed}": PYTHIA_70M for seed in range(1, 6)},  # 44M without the language model's head
}
"""Shapes of the reward models, by the names that presets have."""

ANOTHER = PYTHIA_70M
"""The shape of a reward model whose own is not in the table (ArmoRM, DeBERTa): 44M weights."""

# Numbers of a shape, and what a shrunk one has for each of them.
SHRUNK = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 700,
    "num_key_value_heads": 2, "n_embd": 32, "n_layer": 2, "n_head": 4, "dim": 32, "hidden_dim": 64, "n_layers": 2,
    "n_heads": 4,
}  # fmt: skip

PEOPLE = (
    "my sister",
    "my boss",
    "a neighbour",
    "my flatmate",
    "an old friend",
    "my cousin",
    "the landlord",
    "my coach",
)
THINGS = ("a bicycle", "the rent", "a birthday cake", "two concert tickets", "the garden fence", "a lost phone")
DEEDS = ("forgot about", "sold", "borrowed", "complained about", "paid twice for", "broke")
WHEN = ("Last week", "Two days ago", "This morning", "In March", "On my day off")


def pick(number: int) -> tuple[str, str, str, str]:
    """One of each list: another choice for each ``number`` below their product."""
    chosen = []
    for words in (PEOPLE, THINGS, DEEDS, WHEN):
        number, place = divmod(number, len(words))
        chosen.append(words[place])
    return tuple(chosen)  # type: ignore[return-value]


def post(number: int) -> dict[str, str]:
    """A post as the TL;DR data has them: forum, title, text, and the mark behind which the summary begins."""
    who, what, did, when = pick(number)
    text = (
        f"SUBREDDIT: r/advice\n\nTITLE: {who.capitalize()} {did} {what}, what now?\n\nPOST: {when} {who} {did} {what}. "
        f"We had agreed that nobody touches {what} without asking. I said so, and {who} laughed. I do not want a "
        "quarrel, but I cannot let it go either. Has anybody been through this?\n\nTL;DR:"
    )
    return {"prompt": text, "query": text}


def review(number: int) -> dict[str, str]:
    """A film review, of which only the beginning is read."""
    who, what, did, when = pick(number)
    return {"text": f"{when} I saw this film about {who} who {did} {what}, and I have to say that it stayed with me."}


def instruction(number: int) -> dict[str, str]:
    """An instruction as AlpacaFarm has them."""
    who, what, did, _ = pick(number)
    return {"instruction": f"Write a short letter to {who} who {did} {what}.", "input": ""}


def dialogue(number: int) -> dict[str, str]:
    """A pair of HH-RLHF."""
    who, what, did, _ = pick(number)
    asked = f"\n\nHuman: {who.capitalize()} {did} {what}. What should I say?\n\nAssistant:"
    return {"chosen": f"{asked} Ask for a talk.", "rejected": f"{asked} Nothing."}


FORMS: Mapping[str, Callable[[int], dict[str, str]]] = {
    "vwxyzjn/summarize_from_feedback_tldr_3_filtered_oai_preprocessing_1706381144": post,
    "trl-lib/tldr": post,
    "stanfordnlp/imdb": review,
    "tatsu-lab/alpaca_farm": instruction,
    "Anthropic/hh-rlhf": dialogue,
}
"""Records of each data set's form, by the hub's name."""


def write_data(folder: Path, name: str, count: int = 64) -> Path:
    """``count`` records of the form of data set ``name``; the file."""
    lines = "".join(json.dumps(FORMS[name](number)) + "\n" for number in range(count))
    if FORMS[name] is dialogue:
        file = folder / "data.jsonl.gz"
        file.write_bytes(gzip.compress(lines.encode()))
    else:
        file = folder / "data.jsonl"
        file.write_text(lines)
    return file


def shrunk(shape: Mapping[str, Any]) -> dict[str, Any]:
    """The same family with some ten thousand weights."""
    return {key: SHRUNK.get(key, value) for key, value in shape.items()}


def write_model(folder: Path, shape: Mapping[str, Any], dtype: str, classifier: bool = False) -> int:
    """Random weights of ``shape`` and a tokenizer of as many tokens; how many weights there are."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    own = {"eos_token_id": 0, "bos_token_id": 0, "pad_token_id": 0}
    if classifier:
        own["num_labels"] = shape.get("num_labels", 1)
    config = AutoConfig.for_model(**{**shape, **own})
    loader = AutoModelForSequenceClassification if classifier else AutoModelForCausalLM
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = loader.from_config(config, dtype=getattr(torch, dtype), trust_remote_code=False)
    model.save_pretrained(folder)
    save_tokenizer(folder, shape["vocab_size"])
    return sum(weight.numel() for weight in model.parameters())


def save_tokenizer(folder: Path, size: int) -> None:
    """Byte-level pairs learnt from the invented records, and words that nothing is split into, up to ``size`` tokens.

    So every token that a model of random weights writes is text.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=min(size, 1000), special_tokens=[END], initial_alphabet=alphabet, show_progress=False
    )
    texts = (text for form in {*FORMS.values()} for number in range(64) for text in form(number).values())
    made.train_from_iterator(sorted(texts), trainer)
    content = json.loads(made.to_str())
    vocabulary = content["model"]["vocab"]
    vocabulary |= {f"Ġword{number}": number for number in range(len(vocabulary), size)}
    PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(content)), eos_token=END, padding_side="left"
    ).save_pretrained(folder)
