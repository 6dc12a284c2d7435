from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from safelab.runlog.schema import RunInfo
from safelab.runlog.writer import RunWriter
from support.rows import options

DETECTORS = options().model_dump()

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
