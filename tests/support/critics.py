"""Builds a critic from its YAML on a tiny policy."""

from pathlib import Path
from typing import Any

import yaml

from safelab.plugins import build_option
from support.models import classifier_directory, context, tiny_policy

CONF = Path(__file__).parents[2] / "conf" / "critic"


def critic(name: str, seed: int = 0, **changes: Any) -> Any:
    """``critic/<name>`` with ``changes``; one that starts from a reward model gets a random one."""
    config = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    if "path" in config:
        config["path"] = str(classifier_directory())
    return build_option("critic", {**config, **changes}, context(tiny_policy(), seed))
