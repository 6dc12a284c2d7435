"""Padding by its property: what went in comes out, and nothing else is there. Chat rows against the template's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelab.supervised.rows import Reading, Row, cut, ids_of, pad_right
from support.tokenizers import tokenizer

NUMBERS = st.lists(st.integers(0, 60000), max_size=6)
ROWS = st.lists(NUMBERS, min_size=1, max_size=5)


@given(ROWS, st.integers(-100, 3))
def test_padding_keeps_every_row_and_fills_the_rest(rows: list[list[int]], value: int) -> None:
    width = max(map(len, rows))
    padded = pad_right(rows, value)
    assert padded.shape == (len(rows), width)
    for row, line in zip(rows, padded.tolist(), strict=True):
        assert line[: len(row)] == row
        assert line[len(row) :] == [value] * (width - len(row))


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=4))
def test_a_row_is_read_as_prompt_and_answer_without_a_gap(texts: list[tuple[list[int], list[int]]]) -> None:
    ids = ids_of([Row(*text) for text in texts])
    assert [line[: len(p) + len(a)] for line, (p, a) in zip(ids.tolist(), texts, strict=True)] == [
        p + a for p, a in texts
    ]


@given(st.lists(st.integers(), max_size=20), st.integers(1, 7))
def test_batches_are_the_items_in_their_order(items: list[int], size: int) -> None:
    batches = list(cut(items, size))
    assert [item for batch in batches for item in batch] == items
    assert all(len(batch) == size for batch in batches[:-1])
    assert all(0 < len(batch) <= size for batch in batches)


CHAT = (
    "{% for m in messages %}<|start|>{{ m['role'] }}\n{{ m['content'] }}<|stop|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


def chat_tokenizer():
    made = tokenizer("bytes")
    made.add_special_tokens({"additional_special_tokens": ["<|start|>", "<|stop|>"]})
    made.chat_template = CHAT
    return made


@pytest.mark.parametrize("ending", ["<|stop|>", "</s>"])
@pytest.mark.parametrize("answer", [" Lily had a big dog.", "", "two\n\nlines <|stop|> and more"])
def test_a_chat_row_is_what_the_template_writes_up_to_the_end_of_the_turn(ending: str, answer: str) -> None:
    made = chat_tokenizer()
    made.eos_token = ending
    row = Reading(made, "chat", 512, (made.eos_token_id,)).row("The dog had a hat.", answer)
    chat = [{"role": "user", "content": "The dog had a hat."}]
    opened = made.apply_chat_template(chat, add_generation_prompt=True, tokenize=True, return_dict=False)
    chat += [{"role": "assistant", "content": answer.strip()}]
    whole = made.apply_chat_template(chat, tokenize=True, return_dict=False)
    newline = made("\n", add_special_tokens=False)["input_ids"]
    assert whole[-1:] == newline
    assert row.prompt == opened
    assert row.prompt + row.answer == whole[:-1] + ([] if ending == "<|stop|>" else [made.eos_token_id])


def test_turns_of_a_dialogue_are_messages_and_a_template_that_opens_with_more_is_followed() -> None:
    made = chat_tokenizer()
    prompt = "\n\nHuman: hi\n\nAssistant: yes\n\nHuman: a hat\n\nAssistant:"
    row = Reading(made, "hh_chat", 512, (made.eos_token_id,)).row(prompt, " yes")
    said = ["user\nhi<|stop|>\n", "assistant\nyes<|stop|>\n", "user\na hat<|stop|>\n", "assistant\n"]
    assert made.decode(row.prompt) == "".join(f"<|start|>{turn}" for turn in said)
    made.chat_template = CHAT.replace("<|start|>assistant\n{% endif", "<|start|>assistant\nthink{% endif")
    row = Reading(made, "chat", 512, (made.eos_token_id,)).row("hi", " yes")
    assert made.decode(row.prompt).endswith("<|start|>assistant\nthink")
    assert made.decode(row.answer) == "yes</s>"
