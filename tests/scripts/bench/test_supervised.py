"""The pairs of the benchmark are as long as HH-RLHF's, in tokens of its tokenizer."""

from pathlib import Path

from transformers import AutoTokenizer

from scripts.bench import lengths, supervised, update


def test_pairs_have_the_lengths_of_the_table(tmp_path: Path) -> None:
    update.save_tokenizer(tmp_path, update.VOCABULARY)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    made = supervised.pairs(16, 3)
    rows = [(len(tokenizer(pair.prompt)["input_ids"]), len(tokenizer(pair.chosen)["input_ids"])) for pair in made]
    assert {*rows} <= {*lengths.read()}
    assert len({*rows}) > 10
    assert {len(pair.rejected) for pair in made} <= {answer for _, answer in lengths.read()}
    assert [pair.prompt for pair in supervised.pairs(16, 3)] == [pair.prompt for pair in made]
    assert supervised.pairs(16, 4) != made
