"""A response as what follows its prompt: the tokens after the prompt's, and the text after the prompt's text.

With many tokenizers (Llama 2, Mistral: SentencePiece) a word carries the space in front of it. Such a response read by
itself loses its first space, and an answer tokenised by itself begins with another token than the policy would write.
"""

from collections.abc import Sequence
from typing import Any

ANCHORS = ("\n", "a", ".")
"""Short texts behind which a response is read where its own prompt does not serve."""


def prompt_ids(tokenizer: Any, prompt: str) -> list[int]:
    """The prompt's tokens behind what the tokenizer opens a text with; what it would close one with is left out."""
    own = plain_ids(tokenizer, prompt)
    whole: list[int] = tokenizer(prompt)["input_ids"]
    for start in range(len(whole) - len(own) + 1):
        if whole[start : start + len(own)] == own:
            return whole[: start + len(own)]
    return whole


def answer_ids(tokenizer: Any, prompt: str, answer: str) -> list[int]:
    """The tokens that follow the prompt's where ``answer`` is written behind it, without an end token.

    The prompt's own tokens stand: the policy has read them before it writes. Where the tokenizer would merge both at
    the border (``a`` and ``nd`` to ``and``), the answer has the tokens that it has behind one of ``ANCHORS``.
    """
    if not parts_words(tokenizer):
        unknown = tokenizer.unk_token_id  # one such token may stand for the last word alone, or for it and more
        for before in (prompt, *ANCHORS):
            first = plain_ids(tokenizer, before)
            both = plain_ids(tokenizer, before + answer)
            if first and both[: len(first)] == first and first[-1] != unknown:
                return both[len(first) :]
    return plain_ids(tokenizer, answer)


def response_text(tokenizer: Any, prompt: Sequence[int], response: Sequence[int]) -> str:
    """What the response's tokens add to the prompt's text; special tokens are no text.

    Where they change the prompt's own text (the bytes of a character that would begin in it), they are read behind one
    of ``ANCHORS``.
    """
    if not parts_words(tokenizer):
        for before in (list(prompt), *(plain_ids(tokenizer, anchor) for anchor in ANCHORS)):
            start, both = spelled(tokenizer, before), spelled(tokenizer, [*before, *response])
            if both.startswith(start):
                return both[len(start) :]
    return spelled(tokenizer, response)


def plain_ids(tokenizer: Any, text: str) -> list[int]:
    """The text's own tokens."""
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def spelled(tokenizer: Any, ids: Sequence[int]) -> str:
    """The tokens' text as they spell it: no spaces before punctuation are taken away afterwards."""
    return str(tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))


def parts_words(tokenizer: Any) -> bool:
    """Whether tokens are whole words, between which a space belongs to neither, as in the embedded world.

    Such a tokenizer has no decoder. Its responses are their words alone.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return backend is not None and backend.decoder is None
