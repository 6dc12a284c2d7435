"""The table of lengths: what it holds, how it is made, and what a padded batch of it wastes."""

import gzip
import json
from pathlib import Path

import pytest

from scripts.bench import lengths
from scripts.tools import tiny


def test_the_table_is_that_of_ragged_text() -> None:
    rows = lengths.read()
    assert len(rows) == 712
    assert all(0 < prompt <= 512 and 0 < answer <= 128 for prompt, answer in rows)
    assert [round(lengths.useful_share(rows, batch), 2) for batch in (16, 64)] == [0.34, 0.27]


def test_a_share_by_hand() -> None:
    # Two batches, 3 + 1 and 6 + 4 columns of two rows; the fifth row fills none.
    rows = [(3, 1), (1, 1), (6, 2), (2, 4), (9, 9)]
    assert lengths.useful_share(rows, 2) == pytest.approx((6 + 14) / (2 * 4 + 2 * 10))


def test_typical_draws_lie_where_draws_lie_on_average() -> None:
    assert lengths.typical(range(1000), 3) == [250, 500, 750]


def test_it_is_made_from_a_file_with_a_tokenizer(tmp_path: Path, monkeypatch, capsys) -> None:
    tiny.write_model(tmp_path / "words")
    told = "\n\nHuman: a b c\n\nAssistant:"
    records = [{"chosen": f"{told} {'d ' * count}", "rejected": f"{told} e"} for count in (2, 200)] * 40
    with gzip.open(tmp_path / "pairs.jsonl.gz", "wt") as file:
        file.write("\n".join(json.dumps(record) for record in records))
    monkeypatch.setattr(lengths, "TABLE", tmp_path / "table.csv")
    lengths.main([str(tmp_path / "pairs.jsonl.gz"), str(tmp_path / "words"), "--records", "64"])
    # Words: Human:, a, b, c, Assistant:.
    assert lengths.read() == [(5, 2), (5, 128)] * 32
    assert capsys.readouterr().out.startswith("64 rows, mean 5 and 65; useful: 53%")
