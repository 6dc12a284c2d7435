from pathlib import Path

import pytest
import yaml

from safelab.errors import DataError
from safelab.plugins import build_option
from support.models import context
from support.pairs import pairs, write_pairs

CONF = Path(__file__).parents[3] / "conf" / "pairs" / "hh_rlhf.yaml"


def source(path: Path, **changes):
    options = {**yaml.safe_load(CONF.read_text()), "path": str(path), "seed": 0, **changes}
    return build_option("pairs", options, context())


def test_a_pass_is_every_pair_once_dialogue_and_both_answers(tmp_path: Path) -> None:
    path = write_pairs(tmp_path / "a.jsonl.gz", 5)
    key = repr
    assert sorted(source(path).pairs(0, 5), key=key) == sorted(pairs(5), key=key)


def test_what_is_held_out_is_never_drawn(tmp_path: Path) -> None:
    path = write_pairs(tmp_path / "a.jsonl.gz", 5)
    drawn = source(path, limit=4, held_out=1).pairs(0, 30)
    assert {pair.prompt for pair in drawn} == {pair.prompt for pair in pairs(5)[:3]}


def test_nothing_left_and_no_such_file_are_refused(tmp_path: Path) -> None:
    path = write_pairs(tmp_path / "a.jsonl.gz", 3)
    with pytest.raises(DataError, match=r"got 3 records with pairs\.held_out=3"):
        source(path, held_out=3)
    with pytest.raises(DataError, match=r"pairs\.path must be a file of HH-RLHF"):
        source(Path("none.jsonl.gz"))
