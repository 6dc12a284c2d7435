"""The model of an update by hand: a machine of round numbers, a model of ten weights."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from scripts.bench.scale_model import Machine, Seconds, Sizes, Work

from scripts.bench import scale_model

# 1,000 operations and 100 bytes a second; links of 40 bytes a second inside, of 4 times 5 outside.
ROUND = Machine(
    peak=2000.0, bandwidth=200.0, memory=1e3, gpus=4, inside=80.0, outside=10.0, latency=0.5, mfu=0.5,
    bandwidth_share=0.5, link_share=0.5,
)  # fmt: skip
SIZES = Sizes(width=7, products=10, head=5, attention=1, cache=3)
WORK = Work(
    rows=8, prompt=2, response=4, epochs=2, minibatches=1, piece=2, checkpointing=False, adapter=False,
    itemsize=2, number_of_layers=3, layers=60, trained_layers=40, rest=100, sent=120, sharded=False,
)  # fmt: skip


def test_a_models_numbers_are_those_of_its_card() -> None:
    """Qwen2.5-7B: 6.53 thousand million weights without embeddings, of which biases and norms are the rest."""
    shape = SimpleNamespace(
        hidden_size=3584, intermediate_size=18944, num_hidden_layers=28, num_attention_heads=28, num_key_value_heads=4,
        vocab_size=152064,
    )  # fmt: skip
    found = Sizes.of(shape)
    assert found.products == 28 * (2 * 3584 * 3584 + 2 * 3584 * 512 + 3 * 3584 * 18944)
    assert found.products == pytest.approx(6.53e9, rel=1e-3)
    assert found.head == 3584 * 152064
    assert found.cache == 2 * 28 * 4 * 128
    assert found.attention == 4 * 28 * 3584


def test_a_link_is_the_slowest_on_the_way() -> None:
    assert ROUND.link(4) == 40.0
    assert ROUND.link(5) == 20.0, "four adapters of 10, half of which is reached"
    assert replace(ROUND, inside=20.0).link(5) == 10.0


def test_writing_is_bound_by_reading_or_by_computing() -> None:
    # Of 8 rows on 2 GPUs, 4: the prompts, 8 tokens that see 1: 8 (20 + 1) = 168 operations.
    # A step: 2 (10 + 5 + 4 rows of 4 tokens of 3) = 126 bytes, 1.26 s; 4 (20 + 4) + 2 * 4 * 5 = 136 operations, 0.136.
    assert scale_model.write(ROUND, SIZES, WORK, 2) == pytest.approx(0.168 + 4 * 1.26)
    slow = replace(ROUND, peak=200.0)  # 100 operations a second
    assert scale_model.write(slow, SIZES, WORK, 2) == pytest.approx(1.68 + 4 * 1.36)


def test_gpus_that_only_write_split_one_model_and_take_rows_in_turns() -> None:
    # 900 bytes, of which the weights take 2 (10 + 2 * 5), leave room for 23 rows of 2 * 3 * 6 bytes.
    assert scale_model.room(ROUND, SIZES, WORK, 1) == 23
    assert scale_model.write_split(ROUND, SIZES, WORK, 1) == scale_model.write(ROUND, SIZES, WORK, 1)
    small = replace(ROUND, memory=106.0)  # of which two have 190.8: 4 rows, and so two turns
    assert scale_model.room(small, SIZES, WORK, 2) == 4
    # A turn on one GPU is that of 4 rows; on two half of it, and 6 sums of the states, 14 bytes once around, of 4 rows
    # of 6 tokens, each started for the prompts and for 4 tokens.
    sums = 6 * (4 * 6 * 14 / 40 + 5 * 0.5)
    assert scale_model.write_split(small, SIZES, WORK, 2) == pytest.approx(2 * ((0.168 + 4 * 1.26) / 2 + sums))
    with pytest.raises(ValueError, match="room for the weights and a row"):
        scale_model.write_split(replace(ROUND, memory=40.0), SIZES, WORK, 1)


def test_scoring_and_training() -> None:
    # A row forward: 6 tokens that see 3, 6 (20 + 3) = 138, and the head on 4, 40: 178.
    assert scale_model.score(ROUND, SIZES, WORK, 2) == pytest.approx(2 * 4 * 178 / 1000)
    # Forward and twice that back, and the head of the reference.
    assert scale_model.train(ROUND, SIZES, WORK, 2) == pytest.approx(2 * 4 * (3 * 178 + 40) / 1000)
    again = replace(WORK, checkpointing=True, adapter=True)
    assert scale_model.train(ROUND, SIZES, again, 2) == pytest.approx(2 * 4 * (2 * 178 + 138 + 40) / 1000)
    assert scale_model.score(ROUND, SIZES, WORK, 3) == pytest.approx(2 * 3 * 178 / 1000), "the fullest GPU has 3"


def test_sums_go_twice_around() -> None:
    # Two steps of 2 * 3/4 * 100 bytes at 40 bytes a second, and one start each.
    assert scale_model.exchange(ROUND, WORK, 4, gathers_to_write=True) == pytest.approx(2 * 150 / 40 + 2 * 0.5)
    assert scale_model.exchange(ROUND, WORK, 1, gathers_to_write=True) == 0.0


def test_gathered_layers_by_hand() -> None:
    work = replace(WORK, sharded=True, rest=20)
    # 2 rows on each of 4 GPUs are one piece: layers gathered for 2 passes of scoring, 2 in each of 2 epochs, and to
    # write: 7 of 3/4 * 60; gradients divided twice, 3/4 * 40; the rest summed twice, 2 * 3/4 * 20.
    moved = 7 * 45 + 2 * 30 + 2 * 30
    starts = 2 + 3 * (7 + 2)
    assert work.pieces(4) == 1
    assert scale_model.exchange(ROUND, work, 4, gathers_to_write=True) == pytest.approx(moved / 40 + starts / 2)
    apart = scale_model.exchange(ROUND, work, 4, gathers_to_write=False)
    assert apart == pytest.approx((moved - 45) / 40 + (starts - 3) / 2)
    # 4 rows on each of 2 GPUs are two pieces, each with its own gathering and dividing.
    assert work.pieces(2) == 2
    moved = (2 * 2 + 2 * 4 + 1) * 30 + 4 * 20 + 2 * 20
    assert scale_model.exchange(ROUND, work, 2, True) == pytest.approx(moved / 40 + (2 + 3 * (13 + 4)) / 2)


def test_rollout_gpus_write_beside_training() -> None:
    found = scale_model.update(ROUND, SIZES, WORK, 2, writers=1)
    assert found.write == scale_model.write_split(ROUND, SIZES, WORK, 1)
    assert found.send == 120 / 40
    assert found.total == found.send + max(found.write, found.score + found.train + found.exchange)
    together = scale_model.update(ROUND, SIZES, WORK, 2)
    assert together.send == 0.0
    assert together.total == together.write + together.score + together.train + together.exchange


def test_the_longer_of_two_counts_where_they_run_side_by_side() -> None:
    assert Seconds(write=5.0, score=1.0, train=2.0, exchange=1.0, send=0.5, beside=True).total == 5.5
    assert Seconds(write=3.0, score=1.0, train=2.0, exchange=1.0, send=0.5, beside=True).total == 4.5
