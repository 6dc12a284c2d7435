"""From a prompt's text to the tokens that the policy goes on from."""

from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError

from safelab.corpus.dialogue import Template, messages
from safelab.errors import DataError


def token_rows(template: Template, tokenizer: Any, prompts: Sequence[str]) -> list[list[int]]:
    """Token ids of each prompt; with a chat template, up to and with what opens the assistant's answer.

    Raises:
        DataError: the tokenizer's chat template refuses a prompt's messages.
    """
    if template == "plain":
        return [tokenizer(prompt)["input_ids"] for prompt in prompts]
    # The template has written the special tokens already.
    return [tokenizer(chat(template, tokenizer, prompt), add_special_tokens=False)["input_ids"] for prompt in prompts]


def chat(template: Template, tokenizer: Any, prompt: str) -> str:
    """The prompt as the tokenizer's chat template writes it."""
    try:
        return str(
            tokenizer.apply_chat_template(messages(template, prompt), tokenize=False, add_generation_prompt=True)
        )
    except TemplateError as error:
        raise DataError(
            f"prompts must suit the policy's chat template (policy.prompt_template={template}), and it refuses "
            f"{prompt[:80]!r}: {error}; use policy.prompt_template=plain, or leave that prompt out"
        ) from error
