"""Prompts and answers as text: what a chat template, and a reward model, reads."""

import re
from collections.abc import Sequence
from typing import Any, Literal

from safelab.errors import ConfigError

Template = Literal["plain", "chat", "hh_chat"]
"""``plain``: the text as it is. ``chat``: the prompt is a user's message. ``hh_chat``: the turns of an HH-RLHF prompt
are messages of their own."""

TURN = re.compile(r"\n\n(Human|Assistant):")


def messages(template: Template, prompt: str) -> list[dict[str, str]]:
    """The prompt's messages; of a template that is not ``plain``."""
    return hh_messages(prompt) if template == "hh_chat" else one_message(prompt)


def one_message(prompt: str) -> list[dict[str, str]]:
    """The whole prompt as the user's."""
    return [{"role": "user", "content": prompt}]


def hh_messages(prompt: str) -> list[dict[str, str]]:
    """The turns of ``\\n\\nHuman: ... \\n\\nAssistant: ...``; an empty last turn is the one to be answered."""
    parts = TURN.split(prompt)[1:]
    if not parts:
        return one_message(prompt)
    roles = {"Human": "user", "Assistant": "assistant"}
    turns = [{"role": roles[name], "content": text.strip()} for name, text in zip(parts[::2], parts[1::2], strict=True)]
    return [turn for turn in turns if turn["content"]]


def check_template(key: str, template: Template, tokenizer: Any, path: str) -> None:
    """Refuse a chat template that the tokenizer lacks.

    Args:
        key: of the configuration, which asks for the template.
        template: what it asks for.
        tokenizer: of ``transformers``.
        path: where the tokenizer is from, for the message.

    Raises:
        ConfigError: it has none.
    """
    if template != "plain" and not getattr(tokenizer, "chat_template", None):
        raise ConfigError(f"{key} must be plain, got {template}: the tokenizer of {path} has no chat template")


def texts(template: Template, tokenizer: Any, prompts: Sequence[str], responses: Sequence[str]) -> list[str]:
    """The text that a reward model reads of each response.

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
