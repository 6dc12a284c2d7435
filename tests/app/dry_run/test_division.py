"""What each of several ranks holds, by closed forms of a Llama's weights; one holds what a run without ranks does."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import LlamaConfig

from safelab.app.cli import main
from safelab.app.dry_run.division import largest_exchange, rows_held
from safelab.app.dry_run.estimate import batches
from safelab.app.dry_run.lengths import Lengths
from safelab.app.dry_run.memory import Need, need
from safelab.ranks import BUCKET
from support.runs import resolved

WIDTH, INNER, LAYERS, WORDS, KEYS = 64, 192, 4, 1000, 32
LAYER = 2 * WIDTH * WIDTH + 2 * WIDTH * KEYS + 3 * WIDTH * INNER + 2 * WIDTH
REST = 2 * WORDS * WIDTH + WIDTH  # embeddings, head, last norm
PROMPT, RESPONSE = 20, 12
GIB = 2**30


def found(sharding: str, *overrides: str, words: int = WORDS) -> Need:
    config = resolved(
        "policy=local", "policy.path=x", "data=text", "data.path=x", "reward=released_heuristic",
        "algorithm=ppo_matched", "rollout.batch_size=32", *overrides,
    )  # fmt: skip
    config["policy"]["sharding"] = sharding
    shape = LlamaConfig(
        vocab_size=words, hidden_size=WIDTH, intermediate_size=INNER, num_hidden_layers=LAYERS,
        num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=False,
    )  # fmt: skip
    config["rollout"]["max_new_tokens"] = RESPONSE
    return need(config, shape, batches(config), Lengths(prompt=PROMPT, response=RESPONSE, said=""))


@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("bfloat16", 2)])
def test_layers_are_divided_and_the_rest_is_whole(dtype: str, size: int) -> None:
    told = found("layers", "ranks=4", f"policy.dtype={dtype}")
    of_a_rank = size * (REST + LAYERS * LAYER // 4)
    assert told.weights == told.averages == 2 * of_a_rank  # policy and reference; two averages
    assert told.gradients == of_a_rank
    assert told.written_with == size * LAYERS * LAYER
    assert told.trained_with == 2 * 2 * size * LAYER  # two layers, and their gradients
    assert told.exchange == told.summed == size * REST
    assert told.layer_weights == told.layer_gradients == size * LAYERS * LAYER
    assert told.cache == size * 2 * LAYERS * KEYS * (PROMPT + RESPONSE) * 8  # a quarter of 32 rows
    assert told.states == size * WIDTH * RESPONSE * 8


def test_without_sharding_weights_are_whole_and_rows_are_divided() -> None:
    one, four = found("none"), found("none", "ranks=4")
    for name in ("weights", "averages", "gradients"):
        assert getattr(four, name) == getattr(one, name)
    assert (4 * four.cache, 4 * four.states) == (one.cache, one.states)
    assert 4 * four.activations == pytest.approx(
        one.activations, rel=0.01
    )  # beside the rotation, the same for all rows
    assert four.exchange == 4 * (REST + LAYERS * LAYER)
    assert (four.written_with, four.trained_with) == (0, 0)


def test_one_rank_is_a_run_without_ranks() -> None:
    plain, alone = found("none"), found("layers")
    assert [getattr(plain, one.name) for one in fields(Need)] == [getattr(alone, one.name) for one in fields(Need)]
    assert (plain.written_with, plain.trained_with, plain.exchange) == (0, 0, 0)
    assert plain.weights == 2 * 4 * (REST + LAYERS * LAYER)


@pytest.mark.parametrize("adapter", ["none", "lora"])
@pytest.mark.parametrize("sharding", ["none", "layers"])
def test_more_ranks_never_need_more_each(sharding: str, adapter: str) -> None:
    peaks = [found(sharding, f"ranks={ranks}", f"policy/adapter={adapter}").peak for ranks in (2, 4, 8, 16, 32)]
    assert peaks == sorted(peaks, reverse=True)
    assert peaks[0] > peaks[-1]


def test_of_an_adapter_the_base_is_divided_too() -> None:
    told = found("layers", "ranks=4", "policy/adapter=lora", "policy.adapter.rank=8", "policy.dtype=bfloat16")
    # Of every projection a and b, in float32, all of them in layers.
    adapter = 4 * LAYERS * 8 * (2 * (WIDTH + WIDTH) + 2 * (WIDTH + KEYS) + 3 * (WIDTH + INNER))
    assert told.weights == 2 * (REST + LAYERS * LAYER // 4) + adapter // 4
    assert told.averages == 2 * told.gradients == 2 * adapter // 4
    assert told.exchange == 0, "all that trains is divided, and summed where it is"
    assert told.written_with == 2 * LAYERS * LAYER + adapter


@pytest.mark.parametrize(
    ("ranks", "minibatches", "read", "rows"),
    [
        (1, 4, True, 32),
        (4, 1, True, 8),
        (4, 2, True, 8 + 32),  # minibatches mix the rows of all
        (4, 2, False, 8),
        (3, 1, True, 11),
    ],
)
def test_rows_of_the_large_tensors(ranks: int, minibatches: int, read: bool, rows: int) -> None:
    assert rows_held(32, ranks, minibatches, read) == rows


def test_old_distributions_are_held_where_an_objective_reads_them() -> None:
    plain, whole = found("none", "ranks=4"), found("none", "ranks=4", "algorithm=lco")
    assert whole.states - plain.states == 4 * WORDS * RESPONSE * 8


def test_gradients_are_sent_in_buckets() -> None:
    weights = [nn.Parameter(torch.empty(count, device="meta")) for count in (BUCKET // 2, BUCKET // 2, BUCKET // 4)]
    # The second ends where the second bucket begins.
    assert largest_exchange(weights) == 4 * (BUCKET // 2 + BUCKET // 4)
    assert largest_exchange([]) == 0


def test_pairs_are_shared_too() -> None:
    table = batches(resolved("algorithm=dpo", "ranks=3", "pairs.batch_size=32", "rollout.batch_size=8"))
    assert table["pairs per update, of a rank"] == 11
    assert table["responses per forward pass"] == 22
    assert table["responses per update, of a rank"] == 3


def shown(capsys: pytest.CaptureFixture[str], tmp_path: Path, *words: str) -> tuple[str, dict[str, Any]]:
    command = ["train", "policy=qwen2_5_0_5b", "world=small", f"output_dir={tmp_path}", "dry_run=true"]
    assert main([*command, *words]) == 0
    said = capsys.readouterr().out
    lines = [line.rsplit(maxsplit=1) for line in said[said.index("\nbatches") :].splitlines() if line.startswith("  ")]
    return said, {name.strip(): value for name, value in lines}


def test_the_command_says_what_each_rank_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said, told = shown(capsys, tmp_path, "ranks=2", "optimizer.minibatches=2")
    assert "memory of each of 2 ranks, GiB (estimated; weights are whole; without reward or\nvalue model" in said
    assert told["responses per update, of a rank"] == "16"
    assert told["responses per minibatch, of a rank"] == told["responses per forward pass"] == "8"
    # The adapter's gradients in float32: neighbours of at most 2**25 numbers, but for the last one's rest.
    assert 0.1 < float(told["their exchange, in pieces (update)"]) < 4 * 1.5 * BUCKET / GIB
    assert max(len(line) for line in said[said.index("\nbatches") :].splitlines()) <= 110
    alone, _ = shown(capsys, tmp_path)
    assert "rank" not in alone[alone.index("\nbatches") :]
