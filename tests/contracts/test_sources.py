"""A source of the user's own that gives something else than texts is refused in one message."""

from types import SimpleNamespace
from typing import Any

import pytest

from safelab.contracts import drawn_pairs, drawn_prompts
from safelab.errors import DataError
from safelab.types import Pair

GOOD = Pair(prompt="a", chosen="b", rejected="c")


def test_what_is_right_comes_through() -> None:
    assert drawn_prompts(SimpleNamespace(prompts=lambda cursor, count: ("a",) * count), 0, 3) == ["a"] * 3
    assert drawn_pairs(SimpleNamespace(pairs=lambda cursor, count: [GOOD] * count), 0, 3) == [GOOD] * 3


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ("abc", "got 'abc' of type str; return a list"),
        (None, "got None of type NoneType"),
        (iter("abc"), "of type str_ascii_iterator"),
        ({"a": 1}, "of type dict"),
        (["a"], "got 1; return as many"),
        (["a", 5, "c"], "got 5 of type int at place 1 of the list"),
        (["a", "b", " "], "got the blank text ' ' at place 2"),
        (["a", "b", "\ud83d"], "half a character"),
    ],
)
def test_prompts(found: Any, said: str) -> None:
    with pytest.raises(DataError, match=f"^data: prompts must return 3 texts, .*{said}"):
        drawn_prompts(SimpleNamespace(prompts=lambda cursor, count: found), 0, 3)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([GOOD], "got 1; return as many"),
        ([GOOD, ("a", "b")], "of type tuple, no safelab.types.Pair at place 1"),
        ([GOOD, Pair(prompt="", chosen="b", rejected="c")], "got a pair with the blank text '' as prompt"),
        (
            [Pair(prompt="a", chosen="b", rejected="\ud83d"), GOOD],
            r"got a pair with the text .* as rejected at place 0",
        ),
    ],
)
def test_pairs(found: Any, said: str) -> None:
    with pytest.raises(DataError, match=f"^pairs: pairs must return 2 pairs, .*{said}"):
        drawn_pairs(SimpleNamespace(pairs=lambda cursor, count: found), 0, 2)
