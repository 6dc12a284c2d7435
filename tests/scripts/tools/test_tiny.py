from pathlib import Path

import pytest
from scripts.tools.tiny import PROMPTS, WORDS, overrides, share_of_good, write_model
from transformers import AutoModelForCausalLM, AutoTokenizer


@pytest.mark.parametrize("tied", [False, True])
def test_the_model_loads_and_knows_its_words(tmp_path: Path, tied: bool) -> None:
    write_model(tmp_path, tied)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    head, embedding = model.get_output_embeddings().weight, model.get_input_embeddings().weight
    assert (head.data_ptr() == embedding.data_ptr()) is tied
    assert tokenizer(" ".join(WORDS))["input_ids"] == list(range(len(WORDS)))
    assert all(WORDS.index("<unk>") not in tokenizer(prompt)["input_ids"] for prompt in PROMPTS)


def test_the_reward_counts() -> None:
    assert share_of_good(["a"] * 3, ["good bad good a", "", "bad"]) == [0.5, 0.0, 0.0]


def test_the_overrides_name_what_they_wrote(tmp_path: Path) -> None:
    given = dict(word.split("=", 1) for word in overrides(tmp_path))
    assert Path(given["policy.path"], "config.json").is_file()
    assert Path(given["data.path"]).read_text().splitlines() == list(PROMPTS)
