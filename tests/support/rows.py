"""Made rows of ``metrics.jsonl`` for the detectors, and the constants that ship."""

from pathlib import Path
from typing import Any

import yaml

from safelab.crash.detectors import DetectorOptions

DEFAULT = Path(__file__).parents[2] / "conf" / "detectors" / "default.yaml"


def options() -> DetectorOptions:
    """``conf/detectors/default.yaml``."""
    return DetectorOptions(**yaml.safe_load(DEFAULT.read_text()))


def rows(**columns: list[float]) -> list[dict[str, Any]]:
    """One row per update from columns of equal length, under short names."""
    names = {
        "mean": "reward/mean",
        "std": "reward/std",
        "low": "reward/min",
        "high": "reward/max",
        "kl": "kl/ref_token_exact",
        "entropy": "policy/entropy_token",
        "gold": "reward/gold_mean",
        "repeats": "response/repeat_rate",
        "error": "critic/error_ratio",
    }
    keys = [names[name] for name in columns]
    return [dict(zip(keys, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def fired(events: list[dict[str, int]], key: str) -> list[int]:
    """The updates at which ``key`` is 1."""
    return [update for update, row in enumerate(events) if row[key]]
