"""Builds a controller part or stack from its YAML, as a run would, without Hydra."""

from pathlib import Path
from typing import Any

import torch
import yaml

from safelab.contracts import Context
from safelab.plugins import build_option
from safelab.types import Signals
from support.folders import NO_CACHE

CONF = Path(__file__).parents[2] / "conf" / "controller"
CONTEXT = Context(seed=0, device=torch.device("cpu"), cache=NO_CACHE)


def part(group: str, option: str, **changes: Any) -> Any:
    """The part ``controller/<group>/<option>`` with ``changes`` to its numbers."""
    return build_option(f"controller/{group}", {**read(f"{group}/{option}"), **changes}, CONTEXT)


def stack(option: str, **changes: Any) -> Any:
    """The stack ``controller/<option>``; ``changes`` replace its keys, nested ones key by key."""
    config = written(option)
    parts = {group: read(f"{group}/{name}") for group, name in config.pop("parts").items()}
    return build_option("controller", merged(merged(parts, config), changes), CONTEXT)


def written(option: str) -> dict[str, Any]:
    """What a stack's YAML says on top of the one it begins from; ``parts``: which options it nests, by group."""
    config = read(option)
    base: dict[str, Any] = {"parts": {}}
    for entry in config.pop("defaults"):
        if isinstance(entry, dict):
            ((group, name),) = entry.items()
            base["parts"][group.removeprefix("override ")] = name
        elif entry != "_self_":
            base = written(entry)
    return merged(base, config)


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """``over`` wins, key by key."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict) and "name" not in value
        result[key] = merged(result[key], value) if both else value
    return result


def read(path: str) -> dict[str, Any]:
    """One YAML below conf/controller."""
    config: dict[str, Any] = yaml.safe_load((CONF / f"{path}.yaml").read_text())
    return config


def signals(reward: float = 0.5, kl: float = 0.0, entropy: float = 2.0, **more: Any) -> Signals:
    """Signals with the same KL by both measures."""
    return Signals(reward_mean=reward, kl_ref_token_k1=kl, kl_ref_token_exact=kl, entropy_token=entropy, **more)
