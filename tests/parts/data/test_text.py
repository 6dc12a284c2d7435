from pathlib import Path

import pytest

from safelab.errors import DataError
from safelab.plugins import build_option
from support.models import context


def source(path: Path, seed: int = 0):
    return build_option("data", {"name": "text", "path": str(path), "skip_unfit": False, "seed": seed}, context())


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_text("one\n\n  two  \nthree\nfour\n")
    return path


def test_each_pass_holds_every_prompt_once(lines: Path) -> None:
    data = source(lines)
    for start in (0, 4, 40):
        assert sorted(data.prompts(start, 4)) == ["four", "one", "three", "two"]


def test_passes_differ_in_order(lines: Path) -> None:
    data = source(lines)
    assert len({tuple(data.prompts(4 * epoch, 4)) for epoch in range(12)}) > 3


def test_the_cursor_is_all_the_state(lines: Path) -> None:
    whole = source(lines).prompts(0, 30)
    assert source(lines).prompts(7, 5) + source(lines).prompts(12, 3) == whole[7:15]


def test_the_seed_decides_the_order(lines: Path) -> None:
    assert source(lines, 0).prompts(0, 30) != source(lines, 1).prompts(0, 30)
    assert source(lines, 1).prompts(0, 30) == source(lines, 1).prompts(0, 30)


@pytest.mark.parametrize(("content", "message"), [(b"\n \n", "at least one record"), (b"\xff\xfe\x00", "UTF-8")])
def test_a_file_without_prompts_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        source(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.path must be a readable file, got .*absent"):
        source(tmp_path / "absent.txt")
