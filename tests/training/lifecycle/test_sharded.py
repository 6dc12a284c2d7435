"""Runs of two ranks that hold parts of the layers: rows of one process, and checkpoints that fit any other division."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForCausalLM
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from safelab.pretrained.sharding import is_spread
from safelab.ranks import Ranks
from safelab.training.lifecycle.assist import assist
from safelab.training.lifecycle.run import Outcome, train
from support.models import model_directory
from support.pairs import offline
from support.ranks import on_ranks
from support.runs import numbers, parts_of, run, small, trained

Config = dict[str, Any]
Rows = list[dict[str, Any]]

LORA = ("policy/adapter=lora", "policy.adapter.rank=3", "policy.adapter.alpha=3")
STEADY = "optimizer.eps=1e-3"
"""Adam divides a gradient by its size: where that is all rounding, it must not become a step."""


def divided(config: Config, sharding: str = "layers", **changes: Any) -> Config:
    return {**config, "ranks": 2, "policy": {**config["policy"], "sharding": sharding}, **changes}


def assert_close(rows: Rows, expected: Rows) -> None:
    for ours, theirs in zip(rows, expected, strict=True):
        for name, value in theirs.items():
            assert ours[name] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-5, abs=1e-6)), name


CASES = {
    "ppo": ("algorithm=ppo", "optimizer.max_grad_norm=0.05", "policy.packing=none"),
    "lora": (
        "algorithm=ppo", *LORA, "policy.gradient_checkpointing=true", "optimizer.max_grad_norm=0.05",
        "optimizer.minibatches=2", "optimizer.micro_batch_size=1",
    ),
    "safe": ("algorithm=safe", "controller/preview=cap", "controller.preview.max_kl=1e-4", "rollout.staleness=1",
             "optimizer.epochs=2", "critic.warmup_updates=1", "updates=3"),
    "grpo": ("algorithm=grpo", "controller/route=loss_exact", "optimizer.minibatches=2",
             "rollout.samples_per_prompt=4"),
    "greedy": ("algorithm=remax", "rollout.decoding=static"),
}  # fmt: skip


def rows_of(configs: list[Config], ranks: Ranks) -> list[Rows]:
    """The rows of several runs that write nothing."""
    return [numbers(trained(config, ranks)[2]) for config in configs]


def test_rows_are_those_of_one_process(tmp_path: Path) -> None:
    made = {name: small(tmp_path, "updates=2", *overrides, STEADY) for name, overrides in CASES.items()}
    made["pairs"] = offline(tmp_path, "algorithm=dpo", "updates=2", STEADY)
    first, other = on_ranks(2, partial(rows_of, [*map(divided, made.values())]))
    assert first == other
    for rows, alone in zip(first, rows_of([*made.values()], Ranks()), strict=True):
        assert_close(rows, alone)
    assert all(row["controller/preview_scale"] < 1 for row in first[[*made].index("safe")][1:])


def take_part(configs: list[Config], ranks: Ranks) -> list[Outcome | None]:
    """Several runs one after the other, for one start of the processes."""
    return [_one(config, ranks) for config in configs]


def _one(config: Config, ranks: Ranks) -> Outcome | None:
    parts = parts_of(config, ranks)
    assert parts.policy.sharded == is_spread(parts.policy.module) == (config["policy"]["sharding"] == "layers")
    return train(parts, config, ["test"], "test") if ranks.leads else assist(parts)


def on_two(*configs: Config) -> None:
    first, other = on_ranks(2, partial(take_part, [*configs]))
    assert other == [None] * len(configs), other
    assert [outcome.status for outcome in first] == ["finished"] * len(configs), first


def directory(config: Config) -> Path:
    return Path(config["output_dir"], config["experiment"], config["arm"], f"seed_{config['seed']}")


def rows_in(config: Config) -> Rows:
    return numbers([json.loads(line) for line in (directory(config) / "metrics.jsonl").read_text().splitlines()])


def test_a_run_goes_on_however_its_layers_are_divided(tmp_path: Path) -> None:
    full = small(
        tmp_path, "algorithm=safe", f"policy.path={model_directory(tied=True)}", "arm=full", "updates=5", STEADY
    )
    lora = small(tmp_path, "algorithm=ppo", *LORA, "arm=lora", "updates=5", STEADY)
    for config in (full, lora):
        run({**config, "experiment": "alone"})
        run({**config, "updates": 1})
    # Each takes the weights and the slots of the other kind, and the last leaves parts' to one process.
    steps = [("layers", 2), ("none", 3), ("layers", 4)]
    on_two(*[divided(config, sharding, updates=last) for config in (full, lora) for sharding, last in steps])
    for config in (full, lora):
        written = directory(config) / "checkpoints" / "update_000004"
        names = {*load_file(written / "tensors.safetensors")}
        assert any(name.startswith("optimizer.policy.") and name.endswith("weight:exp_avg") for name in names)
        run(config)
        alone = {**config, "experiment": "alone"}
        assert_close(rows_in(config), rows_in(alone))
        ours, theirs = (directory(which) / "checkpoints" / "update_000005" for which in (config, alone))
        for file in ("tensors.safetensors", next(path.name for path in theirs.glob("policy/*model.safetensors"))):
            folder = "" if file.startswith("tensors") else "policy"
            torch.testing.assert_close(
                load_file(ours / folder / file), load_file(theirs / folder / file), rtol=1e-4, atol=1e-6
            )
    # What parts left is a model like any other; the head is the embedding, and is there once.
    folder = directory(full) / "checkpoints" / "update_000004" / "policy"
    model, told = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(told.values())
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    adapted = AutoPeftModelForCausalLM.from_pretrained(directory(lora) / "checkpoints" / "update_000004" / "policy")
    assert any(weight.abs().sum() > 0 for name, weight in adapted.named_parameters() if "lora_B" in name)


def test_parts_go_back_together(tmp_path: Path) -> None:
    wild = ("guard=rollback", "optimizer.lr=1e30", "optimizer.critic_lr=1e-3", "guard.lr_factor=1e-33", "updates=3")
    config = small(tmp_path, *wild, STEADY)
    run({**config, "experiment": "alone"})
    on_two(divided(config))
    assert_close(rows_in(config), rows_in({**config, "experiment": "alone"}))
    assert rows_in(config)[-1]["guard/rollbacks"] == 1
    events = [json.loads(line) for line in (directory(config) / "events.jsonl").read_text().splitlines()]
    assert {"policy.sharding=layers"} == {event["left_out"] for event in events if event["kind"] == "audit"}
