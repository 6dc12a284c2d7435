"""Runs of two ranks that hold parts of the layers: rows of one process, and checkpoints that fit any other division."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from safelab.pretrained.sharding import is_spread
from safelab.ranks import Ranks
from safelab.training.components import Components
from safelab.training.lifecycle.assist import assist
from safelab.training.lifecycle.run import Outcome, train
from support.ranks import on_ranks
from support.runs import numbers, parts_of, run, small

SHARDED = {"ranks": 2, "policy": {"sharding": "layers"}}
Rows = list[dict[str, Any]]


def take_part(configs: list[dict[str, Any]], ranks: Ranks) -> list[Outcome | None]:
    """Several runs one after the other, for one start of the processes."""
    return [one(config, ranks) for config in configs]


def one(config: dict[str, Any], ranks: Ranks) -> Outcome | None:
    parts = parts_of(config, ranks)
    assert parts.policy.sharded == is_spread(parts.policy.module) == (config["policy"]["sharding"] == "layers")
    return train(parts, config, ["test"], "test") if ranks.leads else assist(parts)


def on_two(*configs: dict[str, Any]) -> list[Rows]:
    """The rows that each run of two ranks leaves."""
    first, other = on_ranks(2, partial(take_part, [*configs]))
    assert other == [None] * len(configs), other
    assert [outcome.status for outcome in first] == ["finished"] * len(configs), first
    return [rows_in(directory(config)) for config in configs]


def sharded(config: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**config, "ranks": 2, "policy": {**config["policy"], "sharding": "layers"}, **changes}


def directory(config: dict[str, Any]) -> Path:
    return Path(config["output_dir"], config["experiment"], config["arm"], f"seed_{config['seed']}")


def rows_in(folder: Path) -> Rows:
    return numbers([json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()])


def assert_close(rows: Rows, expected: Rows) -> None:
    for ours, theirs in zip(rows, expected, strict=True):
        for name, value in theirs.items():
            assert ours[name] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-5, abs=1e-6)), name


CASES = {
    "ppo": ("algorithm=ppo", "optimizer.max_grad_norm=0.05"),
    "lora": (
        "algorithm=ppo", "policy/adapter=lora", "policy.adapter.rank=3", "policy.adapter.alpha=3",
        "policy.gradient_checkpointing=true", "optimizer.minibatches=2", "optimizer.micro_batch_size=1",
    ),
    "safe": ("algorithm=safe", "controller/preview=cap", "rollout.staleness=1", "optimizer.epochs=2"),
    "grpo": ("algorithm=grpo", "controller/route=loss_exact", "optimizer.minibatches=2", "rollout.samples_per_prompt=4"),
    "remax": ("algorithm=remax", "rollout.decoding=static"),
}


def test_x(tmp_path):
    alone = {}
    configs = {}
    for name, overrides in CASES.items():
        (tmp_path / name).mkdir()
        configs[name] = small(tmp_path / name, *overrides, "updates=3", "optimizer.eps=1e-3", f"arm={name}")
        _, rows = run({**configs[name], "experiment": "alone"})
        alone[name] = numbers(rows)
    found = on_two(*map(sharded, configs.values()))
    for name, rows in zip(configs, found):
        try:
            assert_close(rows, alone[name])
            print(name, "ok")
        except AssertionError as e:
            print(name, str(e)[:300])
    assert 0
