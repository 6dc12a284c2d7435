from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from safelab.runlog.schema import RunInfo
from safelab.runlog.writer import RunWriter

DETECTORS = {
    "reward_crash": {"window": 10, "gain_share": 0.25, "standard_errors": 6.0, "rearm_share": 0.5},
    "kl_spike": {"window": 10, "absolute": 0.5, "relative": 0.5, "gap": 10},
    "kl_explosion": {"window": 5, "threshold": 1.0, "rearm_share": 0.5},
    "entropy_collapse": {"share": 0.5, "updates": 20},
    "hacking": {"window": 10, "gold_drop": 0.3, "proxy_logit_gain": 0.25, "rearm_share": 0.5},
}

MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Writes one run; ``rewards`` become the rows' reward/mean, ``columns`` further metrics."""

    def make(
        arm: str = "ppo",
        seed: int = 0,
        rewards: Sequence[float] = (0.5, 0.6),
        columns: Mapping[str, Sequence[Any]] | None = None,
        *,
        directory: Path | None = None,
        config: Mapping[str, Any] | None = None,
        samples: Sequence[Mapping[str, Any]] = (),
        overrides: Sequence[str] = (),
        **changes: Any,
    ) -> Path:
        directory = directory or tmp_path / "runs" / arm.replace("/", "_") / f"seed_{seed}"
        base = {"status": "finished", "experiment": "demo", "arm": arm, "seed": seed, "updates": len(rewards)}
        info = RunInfo.model_validate({**base, "started": "2026-01-01T00:00:00+00:00", **changes})
        with RunWriter.create(directory, {"detectors": DETECTORS, **(config or {})}, overrides, info) as writer:
            for update, reward in enumerate(rewards):
                extra = {name: values[update] for name, values in (columns or {}).items()}
                writer.row({"update": update, "reward/mean": reward, **extra})
            writer.samples(0, samples)
        return directory

    return make
