"""Checkpoints: the whole ``TrainState`` as safetensors and JSON, written beside, renamed, and proved by hashes.

checkpoints/update_000050/
policy/  (as ``transformers`` or ``peft`` loads it, with a model card)
tensors.safetensors (critic, its target, a moving reference, optimisers)
state.json (run, counters, controller, shaping, detectors, rollbacks, best, triage)
manifest.json (SHA-256 of every file)

A name that begins with a dot is not a checkpoint (yet, or any more): ``.new`` is being written, ``.old`` gives its
place to one that is written again, ``.gone`` is being removed. ``tidied`` clears up after a kill.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from safelab.contracts import Triage
from safelab.errors import DataError
from safelab.options import restored
from safelab.runlog import model_card
from safelab.runlog.durable import as_os_error, flush, shared
from safelab.training import moving
from safelab.training.components import Components
from safelab.training.lifecycle import optimizer_slots, pending
from safelab.training.state import TrainState

MANIFEST = "manifest.json"
RUN = "run"
"""Key of ``state.json`` under which a checkpoint says whose it is."""

SMALL_STATES = ("controller", "shaping", "objective", "detectors", "counters", "recovery", "best", "triage")


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What of a checkpoint ranks may hold in parts: ``policy`` writes its weights, ``slots`` are of optimisers."""

    policy: Callable[[Path], None]
    slots: Mapping[str, Tensor]


def collected(parts: Components, state: TrainState) -> Collected:
    """Gather it on the first rank, for ``save``; where the policy is sharded, all ranks must."""
    slots: dict[str, Tensor] = {}
    for name, (module, optimizer) in optimizers_of(state).items():
        own = optimizer_slots.saved(module, optimizer, parts.ranks)
        slots |= {f"optimizer.{name}.{key}": tensor for key, tensor in own.items()}
    return Collected(policy=parts.policy.saver(), slots=slots)


def save(
    parts: Components,
    state: TrainState,
    directory: Path,
    card: str,
    owner: Mapping[str, Any],
    gathered: Collected | None = None,
) -> Path:
    """Write ``directory/update_<n>`` and drop what ``checkpoint.keep`` does not keep.

    ``card``: the model card that lies beside the policy's weights. ``owner``: whose it is, see ``owner.py``. Whatever
    fails, the checkpoints that were there are there still; calling it again begins afresh. ``gathered``: what
    ``collected`` gave; None where this process has all of it.

    Raises:
        OSError: it cannot be written.
    """
    gathered = gathered or collected(parts, state)
    target = directory / name_of(state.counters.update)
    directory.mkdir(exist_ok=True)  # never its parents: a run's folder that is lost must not come back empty
    tidied(directory)
    beside = directory / f".{target.name}.new"
    try:
        with as_os_error(beside):
            _write(parts, state, beside, card, owner, gathered)
        _put(beside, target)
    except OSError:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    for old in sorted({*checkpoints_in(directory)} - _kept(parts, state, directory)):
        _drop(old)
    return target


def _kept(parts: Components, state: TrainState, directory: Path) -> set[Path]:
    """The newest ones up to the one just written, and the best.

    Newer ones are damaged, or of rows that are made again: they are dropped, and do not count. Where the guard goes
    back, as many regular ones are kept besides, so that an interruption's own checkpoint does not change where it goes.
    """
    options = parts.settings.checkpoint
    there = [path for path in checkpoints_in(directory) if update_of(path) <= state.counters.update]
    kept = {*there[-options.keep :]}
    if parts.guard.remedy is not None:
        kept |= {*[path for path in there if is_regular(update_of(path), options.every)][-options.keep :]}
    return kept if state.best.update is None else kept | {directory / name_of(state.best.update)}


def is_regular(update: int, every: int) -> bool:
    """Whether a checkpoint is one that an uninterrupted run makes, too: the start, and each ``every`` updates."""
    return update == 0 or (every > 0 and update % every == 0)


def _write(
    parts: Components, state: TrainState, beside: Path, card: str, owner: Mapping[str, Any], gathered: Collected
) -> None:
    beside.mkdir()
    gathered.policy(beside / "policy")
    # Over the blank form that peft leaves there.
    (beside / "policy" / model_card.FILE).write_text(card, encoding="utf-8")
    save_file(tensors_of(parts, state, gathered), beside / "tensors.safetensors")
    small = {name: getattr(state, name).model_dump() for name in SMALL_STATES}
    waiting = [pending.texts_of(rollout) for rollout in state.pending]
    whole = {RUN: owner, **small, "param_groups": param_groups(state), "pending": waiting}
    (beside / "state.json").write_text(json.dumps(whole))
    (beside / MANIFEST).write_text(json.dumps(hashes(beside), indent=2))
    shared(beside)
    for path in [*beside.rglob("*"), beside]:
        flush(path)


def _put(new: Path, target: Path) -> None:
    """Rename ``new`` to ``target``; one that is there makes way, and comes back if we are killed in between."""
    old = target.with_name(f".{target.name}.old")
    if target.exists():
        target.rename(old)
    new.rename(target)
    flush(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _drop(path: Path) -> None:
    """Remove a checkpoint; a kill in between leaves nothing that looks like a damaged one."""
    gone = path.with_name(f".{path.name}.gone")
    path.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def tidied(directory: Path) -> None:
    """Clear up what a killed process left half done. Only for whoever holds the run's directory."""
    for old in directory.glob(".update_*.old"):
        target = directory / old.name.removeprefix(".").removesuffix(".old")
        if not target.exists():
            old.rename(target)
    for kind in ("new", "old", "gone"):
        for rest in directory.glob(f".update_*.{kind}"):
            shutil.rmtree(rest)


def newest(directory: Path, fits: Callable[[int], bool] = lambda update: True) -> tuple[Path | None, list[Path]]:
    """The newest whole checkpoint whose update ``fits``, if any, and those newer than it that are passed over."""
    passed_over: list[Path] = []
    for path in reversed(checkpoints_in(directory)):
        if fits(update_of(path)) and is_whole(path):
            return path, passed_over
        passed_over.append(path)
    return None, passed_over


def load(parts: Components, state: TrainState, path: Path, saved_rates: bool = True) -> TrainState:
    """The state that ``save`` wrote to ``path``; modules and optimisers of ``state`` take its tensors in place.

    ``saved_rates``: whether learning rates and the like are the checkpoint's, or those that ``state`` was made with.

    Raises:
        DataError: it was made by another version, or by parts that do not fit these.
    """
    try:
        return _load(parts, state, path, saved_rates)
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        first = (str(error).strip().splitlines() or [""])[0]
        raise DataError(
            f"{path} must fit this version and configuration, and does not ({type(error).__name__}: {first}); "
            "go on with what began the run (run.json says which), or choose another arm"
        ) from error


def _load(parts: Components, state: TrainState, path: Path, saved_rates: bool) -> TrainState:
    parts.policy.restore(path / "policy")
    tensors = load_file(path / "tensors.safetensors")
    # Up to 0.2.0 no run sorted its pairs.
    saved = {"triage": Triage().model_dump(), **json.loads((path / "state.json").read_text(encoding="utf-8"))}
    state.critic.load_state_dict(part(tensors, "critic."))
    if parts.critic.target is not None:
        parts.critic.target.load_state_dict(part(tensors, "target."))
    moving.restore(parts.policy, part(tensors, "moving."))
    for name, (module, optimizer) in optimizers_of(state).items():
        fresh = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
        optimizer_slots.load(module, optimizer, part(tensors, f"optimizer.{name}."), saved["param_groups"][name])
        optimizer.zero_grad(set_to_none=True)  # a step that was refused has left its own
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


def tensors_of(parts: Components, state: TrainState, gathered: Collected) -> dict[str, Tensor]:
    """Every tensor besides the policy's, by name."""
    tensors = {f"critic.{name}": tensor for name, tensor in state.critic.state_dict().items()}
    if parts.critic.target is not None:
        tensors |= {f"target.{name}": tensor for name, tensor in parts.critic.target.state_dict().items()}
    tensors |= {f"moving.{name}": tensor for name, tensor in moving.saved(parts.policy).items()}
    for index, rollout in enumerate(state.pending):
        tensors |= {f"pending.{index}.{name}": tensor for name, tensor in pending.tensors_of(rollout).items()}
    return {name: tensor.contiguous() for name, tensor in {**tensors, **gathered.slots}.items()}


def param_groups(state: TrainState) -> dict[str, Any]:
    """Learning rates and the like, by optimiser."""
    return {name: optimizer_slots.saved_groups(*both) for name, both in optimizers_of(state).items()}


def optimizers_of(state: TrainState) -> dict[str, tuple[nn.Module, torch.optim.Optimizer]]:
    """The optimisers that there are, each with the module whose weights it moves, by name."""
    both = {"policy": (state.policy, state.optimizers.policy), "critic": (state.critic, state.optimizers.critic)}
    return {name: (module, optimizer) for name, (module, optimizer) in both.items() if optimizer is not None}


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix``, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def name_of(update: int) -> str:
    """The folder of the checkpoint before ``update``."""
    return f"update_{update:06d}"


def update_of(path: Path) -> int:
    """The update that a checkpoint goes on with."""
    return int(path.name.removeprefix("update_"))


def checkpoints_in(directory: Path) -> list[Path]:
    """Checkpoints by name, oldest first, whole or damaged."""
    # Not glob, which finds nothing in a folder that may not be read: a run would begin anew.
    found = [path for path in directory.iterdir() if path.name.startswith("update_")] if directory.is_dir() else []
    return sorted((path for path in found if path.name.removeprefix("update_").isdecimal()), key=update_of)


def best_of(directory: Path) -> Path | None:
    """The checkpoint that ``checkpoint.best`` keeps, by the newest whole one's word; None if none is kept."""
    path, _ = newest(directory)
    if path is None:
        return None
    update = json.loads((path / "state.json").read_text(encoding="utf-8"))["best"]["update"]
    return None if update is None else directory / name_of(update)


def hashes(path: Path) -> dict[str, str]:
    """SHA-256 of every file below ``path`` but the manifest."""
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name != MANIFEST)
    return {str(file.relative_to(path)): _hash(file) for file in files}


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_whole(path: Path) -> bool:
    """Whether every file is there and as it was written.

    Raises:
        DataError: that cannot be known, because a file may not be read.
    """
    try:
        return bool(json.loads((path / MANIFEST).read_text(encoding="utf-8")) == hashes(path))
    except PermissionError as error:
        raise DataError(
            f"{path} must be readable, and is not: no permission to read {error.filename}; "
            "ask its owner for chmod -R a+rX"
        ) from error
    except (OSError, ValueError):
        return False
