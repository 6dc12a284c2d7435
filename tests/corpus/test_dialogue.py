"""The turns of a dialogue as messages, and what a chat template makes of them."""

from types import SimpleNamespace

import pytest
from jinja2 import TemplateError

from safelab.corpus.dialogue import hh_messages, texts
from safelab.errors import DataError


def roles(prompt: str) -> list[tuple[str, str]]:
    return [(turn["role"], turn["content"]) for turn in hh_messages(prompt)]


def test_turns_are_messages_and_the_last_empty_one_is_to_be_answered() -> None:
    assert roles("\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:") == [
        ("user", "a"), ("assistant", "b"), ("user", "c"),
    ]  # fmt: skip


def test_text_before_the_first_turn_is_the_systems() -> None:
    assert roles("Be kind.\n\nHuman: hi\n\nAssistant:") == [("system", "Be kind."), ("user", "hi")]
    assert roles(" \n\nHuman: hi") == [("user", "hi")]


def alternating(messages: list[dict[str, str]], **_: bool) -> str:
    if [turn["role"] for turn in messages] != ["user", "assistant"] * (len(messages) // 2):
        raise TemplateError("roles must alternate")
    return "".join(f"[{turn['role']}]{turn['content']}" for turn in messages)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("Be kind.\n\nHuman: hi\n\nAssistant:", "t=hh_chat.* refuses 'Be kind.*': roles must alternate; use t=plain"),
        ("\n\nHuman: a\n\nHuman: b\n\nAssistant:", "roles must alternate"),
        ("\n\nHuman:\n\nAssistant:", "prompts must hold a turn of the user with t=hh_chat, and .* has none"),
        ("\n\nAssistant: a", "must hold a turn of the user"),
    ],
)
def test_what_a_template_refuses_is_one_message(prompt: str, said: str) -> None:
    tokenizer = SimpleNamespace(apply_chat_template=alternating)
    assert texts("hh_chat", tokenizer, ["\n\nHuman: a"], ["b "], "t") == ["[user]a[assistant]b"]
    with pytest.raises(DataError, match=said):
        texts("hh_chat", tokenizer, [prompt], ["b"], "t")
