"""One token per word of a world's language, and three special ones."""

from collections.abc import Sequence

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

PAD, END, UNKNOWN = "<pad>", "<eos>", "<unk>"


def build_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerFast:
    """Text of ``words``, parted by single spaces, comes back exactly; padding is on the left."""
    known = (PAD, END, UNKNOWN, *words)
    model = models.WordLevel({word: number for number, word in enumerate(known)}, unk_token=UNKNOWN)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def encode_texts(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> list[list[int]]:
    """Token numbers of each text, without padding or special tokens."""
    rows: list[list[int]] = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return rows
