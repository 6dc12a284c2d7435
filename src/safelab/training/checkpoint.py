"""Checkpoints: the whole ``TrainState`` as safetensors and JSON, written beside, renamed, and proved by hashes.

checkpoints/update_000050/
policy/  (as ``transformers`` or ``peft`` loads it, with a model card)
tensors.safetensors (critic, its target, optimisers)
state.json (counters, controller, shaping, detectors)   manifest.json (SHA-256 of every file)
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from safelab.options import restored
from safelab.training import model_card, optimizer_slots, pending
from safelab.training.components import Components
from safelab.training.state import TrainState

MANIFEST = "manifest.json"
SMALL_STATES = ("controller", "shaping", "objective", "detectors", "counters")


def save(parts: Components, state: TrainState, directory: Path, keep: int, card: str) -> Path:
    """Write ``directory/update_<n>`` and drop all but the newest ``keep``. A half-written one never bears that name.

    ``card``: the model card that lies beside the policy's weights.
    """
    target = directory / f"update_{state.counters.update:06d}"
    beside = directory / f".{target.name}.{os.getpid()}"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    parts.policy.save(beside / "policy")
    # Over the blank form that peft leaves there.
    (beside / "policy" / model_card.FILE).write_text(card, encoding="utf-8")
    save_file(tensors_of(parts, state), beside / "tensors.safetensors")
    small = {name: getattr(state, name).model_dump() for name in SMALL_STATES}
    waiting = [pending.texts_of(rollout) for rollout in state.pending]
    (beside / "state.json").write_text(json.dumps({**small, "param_groups": param_groups(state), "pending": waiting}))
    (beside / MANIFEST).write_text(json.dumps(hashes(beside), indent=2))
    for path in [*beside.rglob("*"), beside]:
        flush(path)
    shutil.rmtree(target, ignore_errors=True)
    beside.rename(target)
    flush(directory)
    for old in whole_names(directory)[:-keep]:
        shutil.rmtree(old)
    return target


def newest(directory: Path) -> tuple[Path | None, list[Path]]:
    """The newest whole checkpoint, if any, and the damaged ones that are newer than it."""
    damaged: list[Path] = []
    for path in reversed(whole_names(directory)):
        if is_whole(path):
            return path, damaged
        damaged.append(path)
    return None, damaged


def load(parts: Components, state: TrainState, path: Path, saved_rates: bool = True) -> TrainState:
    """The state that ``save`` wrote to ``path``; modules and optimisers of ``state`` take its tensors in place.

    ``saved_rates``: whether learning rates and the like are the checkpoint's, or those that ``state`` was made with.
    """
    parts.policy.restore(path / "policy")
    tensors = load_file(path / "tensors.safetensors")
    saved = json.loads((path / "state.json").read_text())
    state.critic.load_state_dict(part(tensors, "critic."))
    if parts.critic.target is not None:
        parts.critic.target.load_state_dict(part(tensors, "target."))
    for name, optimizer in optimizers_of(state).items():
        slots = optimizer_slots.nested(part(tensors, f"optimizer.{name}."))
        fresh = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
        optimizer.load_state_dict({"state": slots, "param_groups": saved["param_groups"][name]})
        if not saved_rates:
            for group, own in zip(optimizer.param_groups, fresh, strict=True):
                group.update(own)
    device = next(parts.policy.module.parameters()).device
    waiting = [
        pending.restored(part(tensors, f"pending.{index}."), texts, device)
        for index, texts in enumerate(saved["pending"])
    ]
    small = {name: restored(getattr(state, name), saved[name]) for name in SMALL_STATES}
    return replace(state, pending=tuple(waiting), **small)


def tensors_of(parts: Components, state: TrainState) -> dict[str, Tensor]:
    """Every tensor besides the policy's, by name."""
    tensors = {f"critic.{name}": tensor for name, tensor in state.critic.state_dict().items()}
    if parts.critic.target is not None:
        tensors |= {f"target.{name}": tensor for name, tensor in parts.critic.target.state_dict().items()}
    for index, rollout in enumerate(state.pending):
        tensors |= {f"pending.{index}.{name}": tensor for name, tensor in pending.tensors_of(rollout).items()}
    for name, optimizer in optimizers_of(state).items():
        slots = optimizer_slots.flat(optimizer.state_dict()["state"])
        tensors |= {f"optimizer.{name}.{key}": tensor for key, tensor in slots.items()}
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def param_groups(state: TrainState) -> dict[str, Any]:
    """Learning rates and the like, which a schedule may have moved."""
    return {name: optimizer.state_dict()["param_groups"] for name, optimizer in optimizers_of(state).items()}


def optimizers_of(state: TrainState) -> dict[str, torch.optim.Optimizer]:
    """The optimisers that there are, by name."""
    both = {"policy": state.optimizers.policy, "critic": state.optimizers.critic}
    return {name: optimizer for name, optimizer in both.items() if optimizer is not None}


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix``, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def whole_names(directory: Path) -> list[Path]:
    """Checkpoints by name, oldest first; what is still being written has another name."""
    return sorted(directory.glob("update_*")) if directory.is_dir() else []


def hashes(path: Path) -> dict[str, str]:
    """SHA-256 of every file below ``path`` but the manifest."""
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name != MANIFEST)
    return {str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def is_whole(path: Path) -> bool:
    """Whether every file is there and as it was written."""
    try:
        manifest = json.loads((path / MANIFEST).read_text())
    except (OSError, ValueError):
        return False
    return bool(manifest == hashes(path))


def flush(path: Path) -> None:
    """Bring a file or directory to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
