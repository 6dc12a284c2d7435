"""Writes run directories as training would, from made-up curves: for tests, benchmarks and a look at the report.

.venv/bin/python -m scripts.tools.make_synthetic_runs outputs/synthetic --seeds 3 --updates 150
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from safelab.app.config.compose import config_directory
from safelab.crash.detectors import DetectorOptions, detect_init, detect_step
from safelab.runlog.schema import RunInfo
from safelab.runlog.writer import RunWriter

CONSTANTS = yaml.safe_load((config_directory() / "detectors" / "default.yaml").read_text(encoding="utf-8"))
BASELINE = "ppo_matched"
BATCH = 32
START_REWARD, START_GOLD, START_ENTROPY = 0.45, 0.33, 0.82


@dataclass(frozen=True, kw_only=True)
class Arm:
    """Where an arm's curves go. ``crash``: update at which its reward falls, per seed shifted; None: never."""

    name: str
    reward: float
    gold: float
    kl: float
    entropy: float
    noise: float
    crash: int | None = None
    penalty: bool = False


ARMS = (
    Arm(name="ppo_released", reward=0.74, gold=-1.8, kl=4.0, entropy=1.1, noise=0.012, crash=70),
    Arm(name="safe_released", reward=0.80, gold=-0.35, kl=3.9, entropy=0.5, noise=0.004, penalty=True),
    Arm(name="ppo", reward=0.76, gold=1.0, kl=0.11, entropy=0.75, noise=0.006),
    Arm(name="ppo_matched", reward=0.79, gold=1.37, kl=0.24, entropy=0.6, noise=0.004),
    Arm(name="safe", reward=0.79, gold=1.25, kl=0.4, entropy=0.6, noise=0.004, penalty=True),
)


def rows(arm: Arm, seed: int, updates: int) -> Iterator[dict[str, Any]]:
    """One run's rows, with the flags that the real definitions give them."""
    rng = np.random.default_rng([seed, *arm.name.encode()])
    shift = rng.normal(0, 0.008)
    crash = None if arm.crash is None else int(arm.crash * updates / 150) + int(rng.integers(-15, 15))
    options, state = DetectorOptions(**CONSTANTS), detect_init()
    gate = 0.0
    for update in range(updates):
        grown = 1 - math.exp(-5 * update / updates)
        fallen = 0.0 if crash is None or update < crash else 0.25 * math.exp(-(update - crash) / 40)
        kl = arm.kl * grown * (1 + 0.1 * rng.normal()) ** 2
        entropy = START_ENTROPY + (arm.entropy - START_ENTROPY) * grown + 0.01 * rng.normal()
        gate = 0.9 * gate + 0.1 * max(0.0, kl - 0.3)
        row: dict[str, Any] = {
            "update": update,
            "episodes": (update + 1) * BATCH,
            "tokens": (update + 1) * BATCH * 20,
            "reward/mean": START_REWARD
            + (arm.reward + shift - START_REWARD) * grown
            - fallen
            + arm.noise * rng.normal(),
            "reward/std": 0.12 * (1 - 0.5 * grown),
            "reward/gold_mean": gold(arm, grown) + shift * 10 + 0.08 * rng.normal(),
            "kl/ref_token_exact": kl,
            "kl/ref_token_k1": kl * (1 + 0.1 * rng.normal()),
            "policy/entropy_token": entropy,
            "critic/bias": 0.05 * rng.normal(),
            "critic/error_ratio": 1 - 0.8 * grown,
            "response/length_mean": 20 - 4 * grown + 0.3 * rng.normal(),
            "response/eos_rate": min(1.0, 0.9 + 0.1 * grown),
            # A policy that has fallen repeats itself.
            "response/repeat_rate": 0.03 + 2.6 * fallen,
            "time/total_s": 0.1 + 0.01 * abs(rng.normal()),
            "speed/tokens_per_s": 6000 + 200 * rng.normal(),
            "controller/phase": "WARMUP" if update < 50 else "PLATEAU",
        }
        if arm.penalty:
            phase = 1.5 if update < 50 else 0.8
            row |= {"controller/threshold": 0.3 * phase, "controller/gate": 2 / (entropy + 0.1)}
            row |= {"controller/penalty": 0.1 * gate**2}
        state, events = detect_step(options, state, row, BATCH)
        yield {**row, **events}


def gold(arm: Arm, grown: float) -> float:
    """Rises first; where an arm ends below its start it has come down from a peak."""
    if arm.gold > START_GOLD:
        return START_GOLD + (arm.gold - START_GOLD) * grown
    return START_GOLD + 3.2 * grown * (1 - grown) + (arm.gold - START_GOLD) * grown**4


def write_run(root: Path, arm: Arm, seed: int, updates: int) -> Path:
    """One finished run under ``root``."""
    directory = root / arm.name / f"seed_{seed}"
    config = {
        "experiment": root.name,
        "seed": seed,
        "baseline": BASELINE,
        "updates": updates,
        "objective": {"name": "ppo_clip", "clip_range": 0.2},
        "controller": {"name": "safe" if arm.penalty else "none"},
        "detectors": CONSTANTS,
    }
    info = RunInfo(
        status="running",
        experiment=root.name,
        arm=arm.name,
        seed=seed,
        updates=updates,
        overrides=[f"algorithm={arm.name}", f"seed={seed}"],
        git_commit="0123456789abcdef0123456789abcdef01234567",
        versions={"safelab": "0.1.0", "torch": "2.13.0"},
        host="synthetic",
        device="cpu",
        started=f"2026-01-01T00:{seed % 60:02d}:00+00:00",
    )
    with RunWriter.create(directory, config, info.overrides, info) as writer:
        for row in rows(arm, seed, updates):
            writer.row(row)
            if row["update"] % 25 == 0 or row["update"] == updates - 1:
                writer.samples(row["update"], samples(row, seed))
        writer.update_info(
            status="finished", last_update=updates - 1, ended="2026-01-01T01:00:00+00:00", seconds=updates * 0.11
        )
    return directory


def samples(row: dict[str, Any], seed: int) -> list[dict[str, Any]]:
    """Eight responses that say more praise the further the run is."""
    words = ["fine", "solid", "lovely", "great", "superb"]
    level = max(0, min(4, int(10 * (row["reward/mean"] - 0.4))))
    things = ["lamp", "chair", "kettle", "radio", "clock", "bag", "table", "pen"]
    return [
        {
            "prompt": f"review : the red {thing} .",
            "response": f"this {thing} is {words[level]} . " + f"{words[level]} . " * level + "thank you .",
            "reward": row["reward/mean"] + 0.01 * index,
            "gold": row["reward/gold_mean"] - 0.01 * index,
            "ended": True,
        }
        for index, thing in enumerate(things[seed % 3 :] + things[: seed % 3])
    ]


def main() -> None:
    """Write the runs and say where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, help="experiment directory to write")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each arm")
    parser.add_argument("--updates", type=int, default=150, help="rows of each run")
    arguments = parser.parse_args()
    for arm in ARMS:
        for seed in range(arguments.seeds):
            print(write_run(arguments.root, arm, seed, arguments.updates))


if __name__ == "__main__":
    main()
