"""Prompts as the messages of a chat: what a chat template reads."""

import re
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
