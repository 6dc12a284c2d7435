"""What a line is, what is text, and that no file of prompts or pairs ends in a traceback."""

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from safelab.contracts import Reading
from safelab.corpus.hh import read_dialogues
from safelab.corpus.lines import read_lines, record_of, texts_of
from safelab.errors import DataError, lines_of, printable_lines
from safelab.parts.data.hub import records_of
from safelab.parts.data.jsonl import prompt_of
from safelab.parts.pairs.jsonl import pair_of

BREAKS_NOT = "\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e\r"
"""What ``str.splitlines`` takes for the end of a line, and no reader of JSON lines does."""


@pytest.mark.parametrize("char", BREAKS_NOT)
def test_a_line_ends_at_a_line_break_only(char: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(f"one{char}two\nthree\r\n\nfour".encode())
    assert read_lines(tmp_path / "a.txt") == [(1, f"one{char}two"), (2, "three"), (4, "four")]


def test_lines_of() -> None:
    assert lines_of("") == []
    assert lines_of("a") == lines_of("a\n") == lines_of("a\r\n") == ["a"]
    assert lines_of("a\n\nb") == ["a", "", "b"]
    assert printable_lines("a\r\nb\x1bc\u2028d\n") == "a\nb\N{REPLACEMENT CHARACTER}c\N{REPLACEMENT CHARACTER}d"


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl.gz"])
def test_a_byte_order_mark_is_no_text(name: str, tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf{"prompt": "a"}\n'
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert read_lines(tmp_path / name) == [(1, '{"prompt": "a"}')]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[1]", "got an array"),
        ('"a"', "got a text"),
        ("null", "got null"),
        ("3", "got a number"),
        ("{", "must hold one JSON object per line"),
        ("[" * 200_000, "nested too deeply"),
    ],
)
def test_what_is_no_object_is_told_with_its_line(line: str, said: str) -> None:
    with pytest.raises(DataError, match=f"^a.jsonl, line 7: pairs.path .*{said}"):
        record_of(line, "a.jsonl, line 7", "pairs.path")


@pytest.mark.parametrize(
    "read",
    [
        lambda line: prompt_of(record_of(line, "f, line 3"), "prompt", "f, line 3"),
        lambda line: pair_of(line, "f, line 3"),
    ],
)
def test_half_a_character_is_told_with_its_line(read: Callable[[str], object]) -> None:
    half = '{"prompt": "a\\ud83d b", "chosen": "c", "rejected": "d"}'
    with pytest.raises(DataError, match=r"^f, line 3: prompt must be text of whole characters, .* at place 1"):
        read(half)
    assert read(half.replace("\\ud83d", "\\ud83d\\ude00")) is not None


def test_a_table_of_json_lines_is_read_by_the_same_rules(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"q": "one\u2028two"}\n', encoding="utf-8")
    assert records_of(path, "q", Reading()) == [{"q": "one\u2028two"}]
    path.write_text('{"q": "one"}\n[1]\n')
    with pytest.raises(DataError, match=r"line 2: data\.path must hold one JSON object per line, got an array"):
        records_of(path, "q", Reading())


PIECES = (
    *BREAKS_NOT, "\n", "\r\n", "\ufeff", "\0", "a", " ", "é", "\U0001f600", "\u202e", "\\ud83d",
    '"', "{", "}", "[", "]", ":",
    "\n\nHuman: a", "\n\nAssistant: b", '{"prompt": "a"}', '{"prompt": "a", "chosen": "b", "rejected": "c"}\n', "1e999",
    '{"chosen": "\\n\\nHuman: a\\n\\nAssistant: b", "rejected": "\\n\\nHuman: a\\n\\nAssistant: c"}\n', "null", "NaN",
)  # fmt: skip


def test_no_file_ends_in_anything_but_texts_or_one_message(tmp_path: Path) -> None:
    """300 files made of pieces that readers stumble over, some with bytes that are no UTF-8."""
    path, made = tmp_path / "a.jsonl", random.Random(12)
    ends = {"read": 0, "refused": 0}

    def objects() -> list[dict]:
        return [record_of(line, f"line {number}") for number, line in read_lines(path)]

    readers: list[Callable[[], object]] = [
        lambda: read_lines(path),
        lambda: [prompt_of(record, "prompt", "line") for record in objects()],
        lambda: [pair_of(line, f"line {number}") for number, line in read_lines(path)],
        lambda: [texts_of(record, ("prompt",), "line") for record in objects()],
        lambda: records_of(path, "prompt", Reading()),
        lambda: read_dialogues(path),
    ]
    for _ in range(300):
        whole = made.random() < 0.3
        text = made.choice(PIECES[-9:]) * 2 if whole else "".join(made.choices(PIECES, k=made.randrange(12)))
        path.write_bytes(text.encode() + (b"\xff" if made.random() < 0.1 else b""))
        for read in readers:
            try:
                json.dumps(read(), default=str, ensure_ascii=False).encode()  # whatever is read is whole text
                ends["read"] += 1
            except DataError:
                ends["refused"] += 1
    assert min(ends.values()) > 100
