"""What stands in for the hub has the published sizes, and texts that differ."""

import gzip
import json
from pathlib import Path

import pytest
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from safelab.app.dry_run.shapes import PYTHIA_410M
from scripts.studies import standins


@pytest.mark.parametrize("form", list(dict.fromkeys(standins.FORMS.values())), ids=lambda form: form.__name__)
def test_invented_records_all_differ(form) -> None:
    assert len({json.dumps(form(number)) for number in range(200)}) == 200


def test_data_lies_in_files_of_the_kind_that_the_preset_reads(tmp_path: Path) -> None:
    posts = [json.loads(line) for line in standins.write_data(tmp_path, "trl-lib/tldr", 5).open()]
    assert len(posts) == 5
    assert all(post["prompt"].startswith("SUBREDDIT: r/") and post["prompt"].endswith("TL;DR:") for post in posts)
    pairs = gzip.decompress(standins.write_data(tmp_path, "Anthropic/hh-rlhf", 3).read_bytes()).decode().splitlines()
    assert all(json.loads(pair)["chosen"].startswith("\n\nHuman: ") for pair in pairs)


def test_a_model_has_as_many_weights_as_its_file_and_every_token_is_text(tmp_path: Path) -> None:
    shape = standins.shrunk(PYTHIA_410M)
    told = standins.write_model(tmp_path, shape, "float32", classifier=True)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert told == sum(weight.numel() for weight in model.parameters())
    assert model.config.num_labels == 1
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert len(tokenizer) == shape["vocab_size"] == AutoConfig.from_pretrained(tmp_path).vocab_size
    assert (
        tokenizer.decode(range(len(tokenizer) - 2, len(tokenizer)))
        == f" word{len(tokenizer) - 2} word{len(tokenizer) - 1}"
    )
    text = standins.post(7)["prompt"]
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_shrinking_keeps_the_family_and_what_it_does_not_name() -> None:
    small = standins.shrunk(PYTHIA_410M)
    assert (small["model_type"], small["rotary_pct"], small["hidden_size"]) == ("gpt_neox", 0.25, 32)
