"""Prompts and answers as text: what a chat template, and a reward model, reads."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from jinja2 import TemplateError

from safelab.errors import ConfigError, DataError

Template = Literal["plain", "chat", "hh_chat"]
"""``plain``: the text as it is. ``chat``: the prompt is a user's message. ``hh_chat``: the turns of an HH-RLHF prompt
are messages of their own."""

TURN = re.compile(r"\n\n(Human|Assistant):")
ROLES = {"Human": "user", "Assistant": "assistant"}


def messages(template: Template, prompt: str) -> list[dict[str, str]]:
    """The prompt's messages; of a template that is not ``plain``."""
    return hh_messages(prompt) if template == "hh_chat" else one_message(prompt)


def one_message(prompt: str) -> list[dict[str, str]]:
    """The whole prompt as the user's."""
    return [{"role": "user", "content": prompt}]


def hh_messages(prompt: str) -> list[dict[str, str]]:
    """The turns of ``\\n\\nHuman: ... \\n\\nAssistant: ...``; an empty last turn is the one to be answered.

    What stands before the first turn is the system's, for which not every chat template has a place.
    """
    before, *parts = TURN.split(prompt)
    if not parts:
        return one_message(prompt)
    names = ["system", *(ROLES[name] for name in parts[::2])]
    turns = zip(names, (before, *parts[1::2]), strict=True)
    return [{"role": role, "content": text.strip()} for role, text in turns if text.strip()]


def chat_text(
    tokenizer: Any, chat: Sequence[Mapping[str, str]], prompt: str, key: str, template: Template, *, opened: bool
) -> str:
    """The messages as the tokenizer's chat template writes them.

    Args:
        tokenizer: of ``transformers``.
        chat: the messages.
        prompt: what they were made of, for the message.
        key: of the configuration, which asks for the template, and with it what it asks for.
        opened: whether what opens the assistant's answer follows.

    Raises:
        DataError: there is no message, or the template refuses them.
    """
    if not any(turn["role"] == "user" for turn in chat):
        raise DataError(f"prompts must hold a turn of the user with {key}={template}, and {prompt[:80]!r} has none")
    try:
        return str(tokenizer.apply_chat_template(list(chat), tokenize=False, add_generation_prompt=opened))
    except TemplateError as error:
        raise DataError(
            f"prompts must suit the chat template ({key}={template}), and it refuses {prompt[:80]!r}: {error}; "
            f"use {key}=plain, or leave that prompt out"
        ) from error


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


def texts(
    template: Template, tokenizer: Any, prompts: Sequence[str], responses: Sequence[str], key: str = "reward.template"
) -> list[str]:
    """The text that a reward model reads of each response; ``key`` of the configuration asks for the template.

    ``plain``: prompt and response as they follow one another. ``chat``: a user's message and an assistant's, by the
    tokenizer's own template. ``hh_chat``: the same, with the turns of an HH-RLHF prompt as messages of their own.

    Raises:
        DataError: the template refuses a prompt's messages.
    """
    rows = zip(prompts, responses, strict=True)
    if template == "plain":
        return [prompt + response for prompt, response in rows]
    chats = [
        (prompt, [*messages(template, prompt), {"role": "assistant", "content": text.strip()}]) for prompt, text in rows
    ]
    return [chat_text(tokenizer, chat, prompt, key, template, opened=False) for prompt, chat in chats]


def tokenise(template: Template, tokenizer: Any, shown: Sequence[str], max_tokens: int) -> list[list[int]]:
    """The tokens of each text, cut on the side that the tokenizer cuts."""
    # A chat template has written the special tokens already.
    special = template == "plain"
    found = tokenizer(list(shown), truncation=True, max_length=max_tokens, add_special_tokens=special)
    ids: list[list[int]] = found["input_ids"]
    return ids


def padded(tokenizer: Any, rows: Sequence[Sequence[int]]) -> Any:
    """Rows of tokens as a batch of tensors with its mask, on the side that the tokenizer pads."""
    return tokenizer.pad({"input_ids": list(rows)}, return_tensors="pt")
