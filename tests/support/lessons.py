"""What ``safelab sft``, ``reward-model`` and ``value-model`` learn, on the tiny model and the YAMLs' own numbers."""

from pathlib import Path
from typing import Any

import torch
import yaml

from safelab.supervised.loading import load_reward_model, load_sft, load_value_model
from safelab.supervised.options import RewardModelOptions, SupervisedOptions
from support.models import model_directory

CONF = Path(__file__).parents[2] / "conf"
LOADERS: dict[str, Any] = {"sft": load_sft, "reward_model": load_reward_model, "value_model": load_value_model}


def options(name: str, **changes: Any) -> Any:
    """Of ``conf/<name>.yaml``, with ``changes``."""
    values = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    own = {key: value for key, value in values.items() if key not in ("defaults", "hydra")}
    kind = RewardModelOptions if name == "reward_model" else SupervisedOptions
    return kind(
        **{
            **own,
            "adapter": {"name": "none"},
            "threads": 1,
            "model": str(model_directory()),
            "output": "unused",
            **changes,
        }
    )


def lesson(name: str, **changes: Any) -> Any:
    """The lesson of these options, its model in ``eval`` mode."""
    loaded = LOADERS[name](options(name, **changes), torch.device("cpu"))
    loaded.model.eval()
    return loaded
