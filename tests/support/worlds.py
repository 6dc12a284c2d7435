"""Embedded worlds that are made in seconds: the real code on a handful of steps."""

from functools import cache
from pathlib import Path
from typing import Any

import torch

from safelab.contracts import Context
from support.folders import scratch

OPTIONS: dict[str, Any] = {
    "seed": 0,
    "language_model": {
        "width": 16,
        "layers": 1,
        "heads": 2,
        "mlp_width": 32,
        "steps": 20,
        "batch_size": 8,
        "lr": 1e-2,
        "warmup_steps": 2,
        "max_new_tokens": 12,
    },
    "reward_model": {
        "pairs": 16,
        "held_out": 8,
        "label_noise": 0.1,
        "epochs": 1,
        "batch_size": 8,
        "lr": 1e-3,
    },
    "value_model": {"epochs": 2, "batch_size": 8, "lr": 3e-3},
}

EXACT: dict[str, Any] = {
    **OPTIONS,
    "tasks": {
        "shortest": 1,
        "longest": 2,
        "held_out": 0.1,
        "taught_share": 0.5,
        "right_share": 0.3,
        "copied_share": 0.45,
    },
    "reward_model": {**OPTIONS["reward_model"], "label_noise": 0.0},
    # Short tasks, wide and long enough that some answers are right: pairs want a right one.
    "language_model": {**OPTIONS["language_model"], "width": 32, "steps": 60, "max_new_tokens": 8},
}
"""The same for the world of tasks."""


@cache
def world_cache() -> Path:
    """A cache directory of this test session."""
    return scratch("world")


def world_context(said: list[str] | None = None) -> Context:
    """A context over that cache; what a slow build says goes into ``said``."""
    say = (lambda text: None) if said is None else said.append
    return Context(seed=0, device=torch.device("cpu"), cache=world_cache(), progress=say)
