"""NaN in one tensor after another: no step that it touches is written down, and none passes unseen."""

import math
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from safelab.app.config.build import build, context_for
from safelab.app.config.compose import compose, opened
from safelab.app.config.jobs import to_job
from safelab.errors import Diverged, RewardFailed
from safelab.training import stages
from safelab.training.components import Components
from safelab.training.lifecycle import checkpoint
from safelab.training.loop import train_update
from safelab.training.state import TrainState, initial_state
from safelab.types import TrainBatch
from scripts.tools import tiny
from scripts.tools.chaos.world import Campaign, without_measures

SETTINGS = (
    "algorithm=safe", "critic.read_at=per_token", "advantage=gae", "critic.polyak_rate=0.1", "guard=stop", "updates=9",
)  # fmt: skip
BATCH = [name.name for name in fields(TrainBatch) if "Float" in str(name.type) and "Mapping" not in str(name.type)]


def nan_in_each_tensor(folder: Path, stride: int = 1) -> Campaign:
    """Every weight, target and optimiser slot (or each ``stride``-th), every field of the training batch in turn."""
    campaign = Campaign("NaN in a tensor")
    with opened() as hydra:
        config = to_job(compose(hydra, [*tiny.overrides(folder), *SETTINGS])).config
    parts = build(config, context_for(config, lambda text: None))
    (folder / "run").mkdir()
    path = checkpoint.save(
        parts, train_update(parts, initial_state(parts)).state, folder / "run" / "checkpoints", "", {}
    )
    clean = train_update(parts, checkpoint.load(parts, initial_state(parts), path)).row
    names = [name for name, _ in tensors_of(parts, checkpoint.load(parts, initial_state(parts), path))]
    for name in names[::stride]:
        state = checkpoint.load(parts, initial_state(parts), path)
        with torch.no_grad():
            dict(tensors_of(parts, state))[name].view(-1)[0] = math.nan
        judge(parts, state, clean, name, campaign)
    make_batch = stages.make_batch
    for name in BATCH:
        state = checkpoint.load(parts, initial_state(parts), path)
        before = [weight.detach().clone() for weight in state.policy.parameters()]

        def poisoned(*arguments: Any, name: str = name) -> TrainBatch:
            batch = make_batch(*arguments)
            if getattr(batch, name) is None:
                return batch
            value = getattr(batch, name).clone()
            value.view(-1)[0] = math.nan
            return replace(batch, **{name: value})

        stages.make_batch = poisoned  # type: ignore[assignment]
        try:
            moved = judge(parts, state, clean, f"batch.{name}", campaign)
        finally:
            stages.make_batch = make_batch
        if moved is None and any(
            not torch.equal(old, new) for old, new in zip(before, state.policy.parameters(), strict=True)
        ):
            campaign.found(f"batch.{name}: refused after the weights had moved")
    return campaign


def tensors_of(parts: Components, state: TrainState) -> Iterator[tuple[str, Tensor]]:
    """All that a state holds, by name."""
    modules = {"policy": state.policy, "critic": state.critic, "target": parts.critic.target}
    for kind, module in modules.items():
        for name, weight in [] if module is None else module.named_parameters():
            yield f"{kind}.{name}", weight.data
    for kind, (_, optimizer) in checkpoint.optimizers_of(state).items():
        for index, slots in optimizer.state_dict()["state"].items():
            yield from ((f"optimizer.{kind}.{index}.{slot}", tensor) for slot, tensor in slots.items())


def judge(
    parts: Components, state: TrainState, clean: dict[str, Any], name: str, campaign: Campaign
) -> dict[str, Any] | None:
    """One update from a poisoned state: refused (None), seen by the guard, or without any influence on the row."""
    campaign.tries += 1
    try:
        step = train_update(parts, state)
    except (Diverged, RewardFailed):
        return None
    weights = [*step.state.policy.parameters(), *step.state.critic.parameters()]
    if not all(bool(torch.isfinite(weight).all()) for weight in weights):
        campaign.found(f"{name}: weights that are not finite went on")
    if without_measures(step.row) != without_measures(clean) and parts.guard.verdict(step.row) is None:
        campaign.found(f"{name}: another row, and nobody objected")
    return step.row
