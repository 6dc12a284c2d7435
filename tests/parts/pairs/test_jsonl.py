import json
from pathlib import Path

import pytest

from safelab.errors import DataError
from safelab.plugins import build_option
from safelab.types import Pair
from support.models import context

NUMBERS = {"batch_size": 2, "evaluate_every": 1, "max_response_tokens": None, "skip_unfit": False, "seed": 0}


def source(path: Path, text: str):
    path.write_text(text)
    return build_option("pairs", {"name": "jsonl", "path": str(path), **NUMBERS}, context())


def test_a_line_is_a_pair(tmp_path: Path) -> None:
    records = [{"prompt": f"p{i}", "chosen": "good", "rejected": "", "extra": 1} for i in range(3)]
    drawn = source(tmp_path / "a.jsonl", "\n".join(map(json.dumps, records))).pairs(0, 3)
    assert sorted(pair.prompt for pair in drawn) == ["p0", "p1", "p2"]
    assert {(pair.chosen, pair.rejected, pair.chosen_ended) for pair in drawn} == {("good", "", True)}


def test_the_sequence_is_endless_and_the_same_however_it_is_cut(tmp_path: Path) -> None:
    records = [{"prompt": f"p{i}", "chosen": "a", "rejected": "b"} for i in range(5)]
    pairs = source(tmp_path / "a.jsonl", "\n".join(map(json.dumps, records)))
    whole = pairs.pairs(0, 12)
    assert [pairs.pairs(cursor, 1)[0] for cursor in range(12)] == whole
    assert whole[0] == Pair(prompt=whole[0].prompt, chosen="a", rejected="b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json\n", "line 1: pairs.path must hold one JSON object per line"),
        (
            '{"prompt": "a", "chosen": "b"}\n',
            "line 1: a record must have the texts .* this record holds: prompt, chosen",
        ),
        ('["a"]\n', "line 1: pairs.path must hold one JSON object per line, got an array"),
        ('{"prompt": "a", "chosen": "b", "rejected": ["c"]}\n', "line 1: rejected must be text, got"),
        ('{"prompt": " ", "chosen": "b", "rejected": "c"}\n', "line 1: prompt must be text that is not blank"),
        ("\n", "pairs.path must hold at least one record"),
    ],
)
def test_bad_records_are_named_with_their_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        source(tmp_path / "a.jsonl", text)


def test_a_missing_file_is_named_by_its_key(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"pairs\.path must be a readable file"):
        build_option("pairs", {"name": "jsonl", "path": str(tmp_path / "none"), **NUMBERS}, context())
