"""A configuration as one line per key, so that two of them can be compared by eye and by diff."""

import json
from collections.abc import Mapping
from typing import Any

from safelab.runlog.flat import leaves


def flatten(config: Mapping[str, Any]) -> dict[str, str]:
    """Dotted keys in order, values as JSON."""
    flat = leaves(config)
    return {key: json.dumps(flat[key], ensure_ascii=False, default=str) for key in sorted(flat)}


def as_yaml(config: Mapping[str, Any]) -> str:
    """``flatten`` as YAML text (JSON values are YAML)."""
    return "".join(f"{key}: {value}\n" for key, value in flatten(config).items())


def algorithm_presets() -> dict[str, str]:
    """Each preset of ``algorithm`` with everything else at its default, flattened."""
    from safelab.app.config.compose import compose, opened
    from safelab.app.config.jobs import to_job

    with opened() as hydra:
        names = hydra.config_loader.get_group_options("algorithm")
        return {name: as_yaml(to_job(compose(hydra, [f"algorithm={name}"])).config) for name in names}
