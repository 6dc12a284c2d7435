"""The shapes that a dry run knows have as many weights as the models' cards say."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from safelab.app.dry_run.shapes import PYTHIA_70M, SHAPES

# Ref: the Pythia suite's table (total parameters); Qwen2's card says 7.62 billion, GPT-2's checkpoint has these.
CARDS = {
    "mnoukhov/pythia410m-sft-tldr": 405_334_016,
    "cleanrl/EleutherAI_pythia-1b-deduped__sft__tldr": 1_011_781_632,
    "Qwen/Qwen2-7B": 7_615_616_512,
    "lvwerra/gpt2-imdb": 124_439_808,
    "Qwen/Qwen2.5-3B": 3_085_938_688,
}


def weights(shape: dict) -> int:
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**shape))
    return sum(weight.numel() for weight in model.parameters())


@pytest.mark.parametrize(("name", "count"), CARDS.items(), ids=CARDS)
def test_a_shape_has_the_published_count(name: str, count: int) -> None:
    assert weights(SHAPES[name]) == count


def test_the_smallest_pythia_and_a_cut_vocabulary() -> None:
    assert weights(PYTHIA_70M) == 70_426_624
    # 1,414,647,808 with 50,304 tokens; 16 fewer of 2,048 numbers, in embedding and head.
    assert weights(SHAPES["tlc4418/pythia_1.4b_sft_policy"]) == 1_414_647_808 - 2 * 16 * 2048
