"""How prompt and response become the text that a reward model reads."""

from collections.abc import Sequence
from typing import Any

from safelab.dialogue import Template, messages


def texts(template: Template, tokenizer: Any, prompts: Sequence[str], responses: Sequence[str]) -> list[str]:
    """One text per response.

    ``plain``: prompt and response as they follow one another. ``chat``: a user's message and an assistant's, by the
    tokenizer's own template. ``hh_chat``: the same, with the turns of an HH-RLHF prompt as messages of their own.
    """
    rows = zip(prompts, responses, strict=True)
    if template == "plain":
        return [prompt + response for prompt, response in rows]
    chats = [[*messages(template, prompt), {"role": "assistant", "content": text.strip()}] for prompt, text in rows]
    return [str(tokenizer.apply_chat_template(chat, tokenize=False)) for chat in chats]


def tokenise(template: Template, tokenizer: Any, shown: Sequence[str], max_tokens: int) -> Any:
    """Texts as a padded batch of tensors, on the side that the tokenizer cuts and pads."""
    return tokenizer(
        list(shown),
        return_tensors="pt",
        padding=True,
        truncation=True,
        max_length=max_tokens,
        # A chat template has written the special tokens already.
        add_special_tokens=template == "plain",
        return_token_type_ids=False,
    )
