"""The table on paper: what it assumes stands before it, and its numbers agree with each other."""

import pytest
from scripts.bench.scale import Row
from scripts.bench.scale_model import Machine, Seconds

from scripts.bench import scale

CARDS = {
    # Weights as the models' cards and files have them.
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-1.5b": 1_543_714_304,
    "qwen2.5-7b": 7_615_616_512,
    "llama-3.1-8b": 8_030_261_248,
    "qwen2.5-32b": 32_763_876_352,
}


@pytest.mark.parametrize("model", scale.SHAPES)
def test_shapes_have_as_many_weights_as_the_published_models(model: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        module = AutoModelForCausalLM.from_config(scale.shape_of(model))
    assert sum(weight.numel() for weight in module.parameters()) == CARDS[model]


def test_speed_up_is_against_the_first_that_fits() -> None:
    machine = Machine(mfu=0.5, bandwidth_share=0.5, link_share=1.0)

    def row(gpus: int, memory: float, write: float) -> Row:
        seconds = Seconds(write=write, score=1.0, train=1.0, exchange=1.0, send=0.0, beside=False)
        return Row(gpus=gpus, memory=int(memory), seconds=seconds)

    lines = [*scale.table([row(1, 90e9, 60.0), row(2, 70e9, 17.0), row(4, 40e9, 7.0)], machine)]
    assert lines[2] == "| 1 | 83.8: does not fit | | | | | | | | |"
    assert lines[3] == "| 2 | 65.2 | 17.00 | 1.00 | 1.00 | 1.000 | 20.00 | 5.0% | 2.0 | 100% |"
    assert lines[4] == "| 4 | 37.3 | 7.00 | 1.00 | 1.00 | 1.000 | 10.00 | 10.0% | 4.0 | 100% |"


def test_assumptions_come_first_and_an_exchange_costs_only_where_there_are_others(capsys) -> None:
    scale.main(["--model", "qwen2.5-0.5b", "--ranks", "1,2", "--batch", "8", "--tokens", "16+16", "--sharding", "none"])
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "A model, not a measurement: nothing below was run on such machines."
    assert "989 TFLOP/s" in said[3]
    assert "450 GB/s in each direction" in said[4]
    one, two = ([cell.strip() for cell in line.strip("|").split("|")] for line in said[-2:])
    assert one[5] == "0.000"
    # ppo_matched has 2 epochs of one minibatch: two sums of 494,032,768 gradients in bfloat16, each in 14 or so buckets
    # of 2**25; half of them twice, over 80 % of 450 GB/s.
    assert float(two[5]) == pytest.approx(2 * (494_032_768 * 2 / (0.8 * 450e9) + 15 * 30e-6), abs=6e-4)
    assert float(two[6]) == pytest.approx(sum(float(cell) for cell in two[2:6]), abs=0.02)


def test_more_ranks_than_rows_are_refused(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        scale.main(["--batch", "32"])
    assert ended.value.code == 2
    assert "--batch must be at least the 64 ranks, got 32" in capsys.readouterr().err
