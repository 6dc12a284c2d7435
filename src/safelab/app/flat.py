"""A configuration as one line per key, so that two of them can be compared by eye and by diff."""

import json
from collections.abc import Mapping
from typing import Any


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Dotted keys in order, values as JSON; an empty mapping is a value."""
    flat: dict[str, str] = {}
    for key in sorted(config, key=str):
        value, name = config[key], f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = json.dumps(value, ensure_ascii=False, default=str)
    return flat


def as_yaml(config: Mapping[str, Any]) -> str:
    """``flatten`` as YAML text (JSON values are YAML)."""
    return "".join(f"{key}: {value}\n" for key, value in flatten(config).items())


def algorithm_presets() -> dict[str, str]:
    """Each preset of ``algorithm`` with everything else at its default, flattened."""
    from safelab.app.compose import compose, opened
    from safelab.app.jobs import to_job

    with opened() as hydra:
        names = hydra.config_loader.get_group_options("algorithm")
        return {name: as_yaml(to_job(compose(hydra, [f"algorithm={name}"])).config) for name in names}
