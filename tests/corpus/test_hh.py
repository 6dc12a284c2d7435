"""Records of HH-RLHF whose two texts are no pair."""

import json
from pathlib import Path

import pytest

from safelab.corpus.hh import read_dialogues, read_pairs
from safelab.errors import DataError

SAME = {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant: c"}
OTHER = {**SAME, "rejected": "\n\nHuman: OTHER\n\nAssistant: c"}


def write(path: Path, *records: dict[str, str]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_answers_to_two_dialogues_are_counted_and_left_out(tmp_path: Path) -> None:
    said: list[str] = []
    path = write(tmp_path / "a.jsonl", SAME, OTHER, SAME)
    pairs = read_pairs(path, "pairs.path", said.append)
    assert [(pair.prompt, pair.chosen, pair.rejected) for pair in pairs] == [
        ("\n\nHuman: a\n\nAssistant:", " b", " c")
    ] * 2
    assert said == ["pairs.path: 1 of 3 pairs answer two different dialogues and are left out"]
    assert [record.agree for record in read_dialogues(path)] == [True, False, True]
    with pytest.raises(DataError, match=r"pairs\.path must hold pairs of answers to one dialogue, got 1 records"):
        read_pairs(write(tmp_path / "b.jsonl", OTHER), "pairs.path")


@pytest.mark.parametrize("name", ["chosen", "rejected"])
def test_both_are_asked_for_their_turn(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", SAME, {**SAME, name: "no turn at all"})
    with pytest.raises(DataError, match=f"line 2: {name} must be a dialogue with a turn 'Assistant:', got 'no turn"):
        read_dialogues(path)
