"""Any table's column as prompts: the three kinds of file, several files in order, the hub's layout, and mistakes."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from safelab.contracts import Reading
from safelab.errors import ConfigError, DataError
from safelab.plugins import build_option
from support.models import context, tiny_policy

CONF = Path(__file__).parents[3] / "conf" / "data" / "hub.yaml"
ROWS = pd.DataFrame({"question": ["a", "b c", "d", "e f a b", "d"], "answer": ["x"] * 5})


def options(path: Path | str, **changes):
    return {**yaml.safe_load(CONF.read_text()), "path": str(path), "column": "question", "seed": 0, **changes}


def data(path: Path | str, said: list[str] | None = None, **changes):
    surroundings = replace(context(tiny_policy()), progress=(said if said is not None else []).append)
    return build_option("data", options(path, **changes), surroundings)


def write(path: Path, table: pd.DataFrame = ROWS) -> Path:
    {
        ".parquet": table.to_parquet,
        ".csv": lambda file: table.to_csv(file, index=False),
        ".jsonl": lambda file: table.to_json(file, orient="records", lines=True),
    }[path.suffix](path)
    return path


@pytest.mark.parametrize("kind", [".parquet", ".csv", ".jsonl"])
def test_every_kind_of_table_gives_its_column(tmp_path: Path, kind: str) -> None:
    assert sorted(data(write(tmp_path / f"a{kind}")).prompts(0, 4)) == ["a", "b c", "d", "e f a b"]


def test_a_folders_files_are_one_list_in_order(tmp_path: Path) -> None:
    for name, word in (("0001", "second"), ("0000", "first")):
        write(tmp_path / f"{name}.parquet", pd.DataFrame({"question": [word, f"{word} too"]}))
    assert sorted(data(tmp_path, limit=3).prompts(0, 3)) == ["first", "first too", "second"]
    assert data(tmp_path, held_out=1, part="held_out").prompts(0, 1) == ["second too"]


def test_a_prompt_that_is_held_out_is_not_drawn_from_another_record(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv")
    assert "d" not in data(path, held_out=1).prompts(0, 30)
    said: list[str] = []
    assert "e f a b" not in data(path, said, max_tokens=3).prompts(0, 30)
    assert said == ["data: 1 of 4 prompts have more than 3 tokens and are left out"]


def test_a_data_set_of_the_hub_is_read_from_its_parquet_copy(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "main" / "validation"
    folder.mkdir(parents=True)
    write(folder / "0000.parquet")
    asked = {}

    def download(name: str, **options):
        asked.update(options, name=name)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert len(set(data("org/questions", subset="main", split="validation").prompts(0, 20))) == 4
    assert asked == {
        "name": "org/questions",
        "repo_type": "dataset",
        "revision": "refs/convert/parquet",
        "allow_patterns": ["main/validation/*.parquet"],
    }
    with pytest.raises(DataError, match="must exist in org/questions, got main/test"):
        data("org/questions", subset="main", split="test")


def test_a_hub_that_cannot_be_reached_says_what_to_do(monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"must be in the hub's cache or reachable .*fetch it first"):
        data("nobody/has-this-data-set")


@pytest.mark.parametrize(
    ("name", "text", "changes", "said"),
    [
        ("a.csv", "question\nx\n", {"column": "questoin"}, "did you mean 'question'"),
        ("a.csv", "question,b\nx,y\n,z\n", {}, "record 2: question must be text that is not blank, got ''"),
        ("a.jsonl", '{"question": 3}\n', {}, "record 1: question must be text that is not blank, got 3"),
        ("a.jsonl", "no json\n", {}, "line 1: data.path must hold one JSON object"),
        ("a.parquet", "no parquet", {}, "must be a readable table"),
        ("a.csv", "question\nx\n", {"held_out": 1}, "data must leave at least one prompt"),
    ],
)
def test_a_mistake(tmp_path: Path, name: str, text: str, changes: dict, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=said):
        data(tmp_path / name, **changes)


def test_what_is_no_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="which is neither"):
        data(Path("none.parquet"))
    with pytest.raises(DataError, match="with none"):
        data(tmp_path)


@pytest.mark.parametrize("kind", [".parquet", ".csv", ".jsonl"])
def test_the_columns_that_are_read_come_with_their_prompts_and_their_types(tmp_path: Path, kind: str) -> None:
    """Whole numbers beside an absent one stay whole, lists stay lists; of a .csv all is text."""
    table = pd.DataFrame({"question": ["a", "b c"], "answer": pd.array([1, None], dtype="Int64"), "unread": [0.5, 1.5]})
    if kind != ".csv":
        table["steps"] = [["x", "y"], []]
    reading = Reading(must=frozenset({"answer"}), may=frozenset({"steps", "absent"}))
    made = build_option("data", options(write(tmp_path / f"a{kind}", table)),
                        replace(context(tiny_policy()), reading=reading))  # fmt: skip
    columns = made.columns(0, 2)
    found = dict(zip(made.prompts(0, 2), zip(*columns.values(), strict=True), strict=True))
    if kind == ".csv":
        assert found == {"a": ("1",), "b c": ("",)}
    else:
        assert found == {"a": (1, ["x", "y"]), "b c": (None, [])}
        assert type(found["a"][0]) is int


def test_the_first_words_of_each_text_are_taken_as_the_seed_draws(tmp_path: Path) -> None:
    texts = [f"  one\ttwo three  four five text{number}" for number in range(40)]
    path = write(tmp_path / "a.jsonl", pd.DataFrame({"question": texts}))
    drawn = data(path, first_words=[2, 4], seed=3).prompts(0, 40)
    assert {*drawn} == {"  one\ttwo", "  one\ttwo three", "  one\ttwo three  four"}
    assert drawn == data(path, first_words=[2, 4], seed=3).prompts(0, 40)
    assert {*data(path, first_words=[1, 1]).prompts(0, 9)} == {"  one"}
    assert {*data(path, first_words=[90, 99]).prompts(0, 40)} == {*texts}


@pytest.mark.parametrize("words", [[3, 2], [0, 2], [2], "[2, 3]"])
def test_bounds_of_words_that_are_none_are_refused(tmp_path: Path, words) -> None:
    with pytest.raises(ConfigError, match="first_words"):
        data(write(tmp_path / "a.csv"), first_words=words)
