"""Small tokenizers of the kinds that are about, trained on two lines of text in milliseconds."""

import json
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

TEXTS = ["Lily had a big dog. The dog had a red ball and a hat.", "é ü 0123 \n\nHuman: hi\n\nAssistant: yes"] * 6
KINDS = ("sentencepiece", "bytes", "wordpiece", "words")


def tokenizer(kind: str, special: str = "<s> $A") -> Any:
    """A small tokenizer of one kind, trained on ``TEXTS``."""
    if kind == "sentencepiece":  # as Llama 2 and Mistral have it, with bytes for what is not in the vocabulary
        made = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
        made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        made.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")  # no token spans two words
        steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        made.decoder = decoders.Sequence(steps)
        trainer = trainers.BpeTrainer(
            vocab_size=120, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False, limit_alphabet=40
        )
    elif kind == "bytes":  # as GPT-2 and Llama 3
        made = Tokenizer(models.BPE())
        made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=320, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        )  # fmt: skip
    elif kind == "wordpiece":  # as BERT
        made = Tokenizer(models.WordPiece(unk_token="<unk>"))
        made.pre_tokenizer, made.decoder = pre_tokenizers.Whitespace(), decoders.WordPiece(cleanup=False)
        trainer = trainers.WordPieceTrainer(vocab_size=90, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False)
    else:  # as the embedded world
        made = Tokenizer(models.WordLevel(unk_token="<unk>"))
        made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        trainer = trainers.WordLevelTrainer(special_tokens=["<unk>", "<s>", "</s>"], show_progress=False)
    made.train_from_iterator(TEXTS, trainer)
    if kind == "sentencepiece":
        made = with_bytes(made)
    numbers = [(name, made.token_to_id(name)) for name in ("<s>", "</s>")]
    made.post_processor = processors.TemplateProcessing(single=special, special_tokens=numbers)
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def with_bytes(made: Tokenizer) -> Tokenizer:
    """The same with a token for each byte, which are no special ones."""
    content = json.loads(made.to_str())
    vocabulary = content["model"]["vocab"]
    vocabulary |= {f"<0x{byte:02X}>": len(vocabulary) + byte for byte in range(256)}
    return Tokenizer.from_str(json.dumps(content))
