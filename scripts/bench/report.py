"""How long a report takes on many long runs, how much memory, and how long the next one takes after ten new runs.

    .venv/bin/python -m scripts.bench.report FOLDER [--runs 500 --updates 2000 --metrics 40]

Goals on two cores: 500 runs of 2,000 updates and 40 metrics (40 million values) in 60 s and 3 GB; a second report
after ten new runs in 10 s.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from safelab.app.config.compose import config_directory
from safelab.crash.table import KINDS
from safelab.runlog.schema import RunInfo
from safelab.runlog.writer import RunWriter

NAMED = (
    "reward/mean", "reward/std", "reward/gold_mean", "kl/ref_token_exact", "kl/ref_token_k1", "policy/entropy_token",
    "critic/bias", "controller/threshold", "controller/gate", "controller/penalty", "response/length_mean",
    "response/eos_rate", "time/total_s", "speed/tokens_per_s",
)  # fmt: skip
FLAGS = [kind.key for kind in KINDS]
CONSTANTS = yaml.safe_load((config_directory() / "detectors" / "default.yaml").read_text(encoding="utf-8"))
SEEDS_PER_ARM = 10


def make_run(root: Path, number: int, updates: int, metrics: int) -> None:
    """One finished run of random walks under the names that a report draws, and fillers up to ``metrics``."""
    arm, seed = f"arm_{number // SEEDS_PER_ARM:02d}", number % SEEDS_PER_ARM
    rng = np.random.default_rng(number)
    names = [*NAMED, *FLAGS, *(f"extra/metric_{i}" for i in range(metrics - len(NAMED) - len(FLAGS)))]
    walks = np.abs(0.5 + 0.01 * rng.normal(size=(updates, len(names))).cumsum(axis=0))
    frame = pd.DataFrame(walks, columns=names)
    frame[FLAGS] = (rng.random((updates, len(FLAGS))) < 0.0005).astype(int)
    frame.insert(0, "update", np.arange(updates))
    info = RunInfo(
        status="finished", experiment=root.name, arm=arm, seed=seed, updates=updates, last_update=updates - 1,
        overrides=[f"algorithm={arm}", f"seed={seed}"], started="2026-01-01T00:00:00+00:00", seconds=1.0,
    )  # fmt: skip
    config = {"seed": seed, "arm": arm, "detectors": CONSTANTS}
    with RunWriter.create(root / arm / f"seed_{seed}", config, info.overrides, info) as writer:
        text = frame.to_json(orient="records", lines=True, double_precision=15)
        (writer.directory / "metrics.jsonl").write_text(text)


def report(root: Path) -> tuple[float, float]:
    """Seconds and greatest resident memory (GB) of one report in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    start = time.perf_counter()
    command = [str(Path(sys.executable).with_name("safelab")), "report", str(root), "--output", str(root / "report")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return seconds, max(before, peak) / 1e6


def main() -> None:
    """Make what is missing, then measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--updates", type=int, default=2000)
    parser.add_argument("--metrics", type=int, default=40)
    flags = parser.parse_args()
    for number in range(flags.runs):
        if not (flags.root / f"arm_{number // SEEDS_PER_ARM:02d}" / f"seed_{number % SEEDS_PER_ARM}").exists():
            make_run(flags.root, number, flags.updates, flags.metrics)
    first, memory = report(flags.root)
    unchanged, _ = report(flags.root)
    for number in range(flags.runs, flags.runs + 10):
        make_run(flags.root, number, flags.updates, flags.metrics)
    second, _ = report(flags.root)
    figures = {"runs": flags.runs, "first_s": first, "peak_gb": memory, "unchanged_s": unchanged, "ten_more_s": second}
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
