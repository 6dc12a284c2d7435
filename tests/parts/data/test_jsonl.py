from pathlib import Path

import pytest

from safelab.errors import DataError
from safelab.plugins import build_option
from support.models import context


def source(path: Path, text: str, field: str = "prompt"):
    path.write_text(text)
    return build_option(
        "data", {"name": "jsonl", "path": str(path), "field": field, "skip_unfit": False, "seed": 0}, context()
    )


def test_prompts_under_the_named_key(tmp_path: Path) -> None:
    data = source(tmp_path / "a.jsonl", '{"q": "one", "x": 1}\n\n{"q": "two"}\n', field="q")
    assert sorted(data.prompts(0, 2)) == ["one", "two"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"prompt": "a"}\nnot json\n', "line 2: data.path must hold one JSON object per line"),
        ('{"prompt": "a"}\n\n{"text": "b"}\n', "line 3: data.field must be a key of every record.*holds: text"),
        ('["a"]\n', "line 1: data.path must hold one JSON object per line, got an array"),
        ('{"prompt": 3}\n', "line 1: prompt must be text"),
        ('{"prompt": "  "}\n', "line 1: prompt must be text that is not blank"),
    ],
)
def test_bad_records_are_named_with_their_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        source(tmp_path / "a.jsonl", text)
