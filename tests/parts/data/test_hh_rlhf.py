"""HH-RLHF's own format: where prompts are cut, what is kept back, and what is refused."""

import gzip
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from safelab.corpus.hh import locate, read_pairs
from safelab.errors import DataError
from safelab.plugins import build_option
from support.models import context, tiny_policy

CONF = Path(__file__).parents[3] / "conf" / "data" / "hh_rlhf.yaml"
SAMPLE = Path(__file__).parents[2] / "data" / "hh_rlhf" / "sample.jsonl"
"""Dialogues of our own in the format of the data set: several turns, quotation marks, empty lines, an empty answer."""
TWO_TURNS = "\n\nHuman: a b\n\nAssistant: c\n\nHuman: d e f\n\nAssistant:"


def write(path: Path, count: int = 4) -> Path:
    rows = [{"chosen": f"\n\nHuman: a {i}\n\nAssistant: good", "rejected": f"\n\nHuman: a {i}\n\nAssistant: bad"}
            for i in range(count - 1)]  # fmt: skip
    rows.append({"chosen": f"{TWO_TURNS} yes", "rejected": f"{TWO_TURNS} no"})
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def data(path: Path, said: list[str] | None = None, **changes):
    options = {**yaml.safe_load(CONF.read_text()), "path": str(path), "seed": 0, **changes}
    surroundings = replace(context(tiny_policy()), progress=(said if said is not None else []).append)
    return build_option("data", options, surroundings)


def test_a_pair_is_a_prompt_and_two_answers(tmp_path: Path) -> None:
    pair = read_pairs(write(tmp_path / "a.jsonl.gz"))[-1]
    assert (pair.prompt, pair.chosen, pair.rejected) == (TWO_TURNS, " yes", " no")


def test_prompts_end_at_the_last_turn_or_as_released_at_the_first(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl.gz", 1)
    assert data(path).prompts(0, 1) == [TWO_TURNS]
    assert data(path, cut="first_turn").prompts(0, 1) == ["\n\nHuman: a b\n\nAssistant:"]


def test_what_is_held_out_is_never_drawn(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl.gz", 4)
    train, held = data(path, held_out=1), data(path, held_out=1, part="held_out")
    assert set(train.prompts(0, 30)).isdisjoint(held.prompts(0, 30))
    assert set(held.prompts(0, 30)) == {TWO_TURNS}
    assert len(set(data(path, limit=2).prompts(0, 30))) == 2


def test_a_first_turn_that_is_held_out_is_not_drawn_from_another_record(tmp_path: Path) -> None:
    turns = ["\n\nHuman: a\n\nAssistant: b", "\n\nHuman: c\n\nAssistant: b", "\n\nHuman: a\n\nAssistant: d"]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"chosen": turn, "rejected": turn}) + "\n" for turn in turns))
    options = {"cut": "first_turn", "held_out": 1}
    assert set(data(path, **options).prompts(0, 9)) == {"\n\nHuman: c\n\nAssistant:"}
    assert set(data(path, **options, part="held_out").prompts(0, 9)) == {"\n\nHuman: a\n\nAssistant:"}


def test_long_prompts_are_left_out_and_counted(tmp_path: Path) -> None:
    said: list[str] = []
    prompts = data(write(tmp_path / "a.jsonl.gz", 4), said, max_tokens=6).prompts(0, 30)
    assert TWO_TURNS not in prompts
    assert said == ["data: 1 of 4 prompts have more than 6 tokens and are left out"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must hold at least one record"),
        (b'{"chosen": "x"}\n', "line 1: a record must have the texts chosen, rejected; this record holds: chosen"),
        (b'{"chosen": "x", "rejected": "y"}\n', "line 1: chosen must be a dialogue with a turn 'Assistant:', got 'x'"),
    ],
)
def test_bad_records_are_named_with_their_line(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        data(path)


def test_a_damaged_archive_a_missing_file_and_an_empty_part(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.jsonl.gz")
    (tmp_path / "half.jsonl.gz").write_bytes(whole.read_bytes()[:60])
    with pytest.raises(DataError, match=r"must be a readable file, got .*half.* before the end"):
        data(tmp_path / "half.jsonl.gz")
    with pytest.raises(DataError, match="must be a file of HH-RLHF or its name on the hub"):
        data(Path("none.jsonl.gz"))
    with pytest.raises(DataError, match=r"got none of 4 records with data\.part=train, held_out=4"):
        data(whole, held_out=4)


def test_a_hub_name_that_cannot_be_reached_says_what_to_do() -> None:
    with pytest.raises(DataError, match=r"must be in the hub's cache or reachable .*give data\.path=FILE"):
        data(Path("Nobody/no-such-set"))


def test_the_sample_or_the_real_data_is_read_whole() -> None:
    """``SAFELAB_HH_RLHF=FILE`` puts a file of the real data in the sample's place."""
    path = Path(os.environ.get("SAFELAB_HH_RLHF") or SAMPLE)
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    pairs = read_pairs(path)
    assert len(pairs) == len(records) >= 6
    for pair, record in zip(pairs, records, strict=True):
        assert pair.prompt + pair.chosen == record["chosen"]
        assert record["rejected"].endswith(pair.rejected)
        assert pair.prompt.startswith("\n\nHuman:")
        assert pair.prompt.endswith("\n\nAssistant:")


def test_turns_are_cut_by_their_marks_and_not_by_words_that_look_like_them() -> None:
    fruit, quoting = read_pairs(SAMPLE)[2:4]
    assert (fruit.chosen, fruit.rejected) == (" Apples\n\nPears\n\nPlums", " ")
    assert quoting.prompt == '\n\nHuman: My script prints "Human: hi". Why?\n\nAssistant:'


@pytest.mark.parametrize("path", ["my data/hh.json", "a b/c d"])
def test_a_path_that_can_be_no_name_on_the_hub_is_told(path: str) -> None:
    with pytest.raises(DataError, match=rf"must be a file of HH-RLHF or its name on the hub, got '{path}'"):
        locate(path, "x", "train")
