"""The fair comparison: every arm tuned on the same grid and seeds, then run at its best on fresh seeds.

    python scripts/baselines.py --output outputs [-- overrides for every run]

Tuning: learning rate x strength of the KL penalty, ``TUNING_SEEDS`` of their own; chosen by the mean gold score of the
last tenth of the updates (the reward is what is being gamed, so it cannot choose). Both stages are ordinary sweeps, so
running this again goes on where it stopped.
"""

import argparse
import subprocess
import sys
from itertools import product
from pathlib import Path

import pandas as pd

from safelab.runlog.reader import find_runs, read_run

LEARNING_RATES = ("1e-4", "3e-4", "1e-3")
STRENGTHS = (1.0, 5.0)
TUNING_SEEDS = "100,101"

# Each arm's own coefficient at strength 1; ppo_adaptive_kl is tuned through its target instead (lower is stronger).
ARMS = {
    "safe": ("controller.coefficient.value", 0.1),
    "asymmetric_kl": ("controller.coefficient.value", 0.1),
    "ppo_matched": ("controller.coefficient.value", 0.1),
    "ppo": ("controller.coefficient.value", 0.05),
    "ppo_adaptive_kl": ("controller.coefficient.target", 6.0),
}


def settings(arm: str) -> list[list[str]]:
    """The grid of an arm: six settings each."""
    key, base = ARMS[arm]
    return [
        [f"optimizer.lr={rate}", f"optimizer.critic_lr={rate}", f"{key}={value(key, base, strength)}"]
        for rate, strength in product(LEARNING_RATES, STRENGTHS)
    ]


def value(key: str, base: float, strength: float) -> float:
    """A coefficient is multiplied by the strength, a target is divided by it."""
    return round(base / strength if key.endswith("target") else base * strength, 6)


def sweep(experiment: str, overrides: list[str], seeds: str, output: Path) -> None:
    """One multirun over seeds."""
    command = [str(Path(sys.executable).with_name("safelab")), "train", "-m", f"experiment={experiment}"]
    subprocess.run([*command, f"output_dir={output}", f"seed={seeds}", *overrides], check=True)


def gold_by_arm(folder: Path) -> pd.Series:
    """Mean gold score of the last tenth of the updates, averaged over seeds, by arm."""
    rows = []
    for directory in find_runs([folder]):
        run = read_run(directory)
        last = run.metrics.tail(max(1, len(run.metrics) // 10))
        rows.append({"arm": run.info.arm, "gold": last["reward/gold_mean"].mean()})
    return pd.DataFrame(rows).groupby("arm")["gold"].mean().sort_values(ascending=False)


def best_overrides(folder: Path, arm: str) -> list[str]:
    """The setting of ``arm`` with the highest gold score, as overrides."""
    scores = gold_by_arm(folder)
    own = scores[[name.split(",")[0] == arm for name in scores.index]]
    print(own.to_string(), flush=True)
    return str(own.index[0]).split(",")[1:]


def main() -> None:
    """Tune, choose, run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("outputs"))
    parser.add_argument(
        "--name", default="baselines", help="experiment folder (its tuning lies beside, in NAME_tuning)"
    )
    parser.add_argument("--seeds", default="range(10)")
    parser.add_argument("common", nargs="*", help="overrides for every run")
    flags = parser.parse_args()
    for arm in ARMS:
        for setting in settings(arm):
            sweep(f"{flags.name}_tuning", [f"algorithm={arm}", *setting, *flags.common], TUNING_SEEDS, flags.output)
    common = {override.split("=")[0] for override in flags.common}
    for arm in ARMS:
        chosen = [
            word
            for word in best_overrides(flags.output / f"{flags.name}_tuning", arm)
            if word.split("=")[0] not in common
        ]
        print(f"{arm}: {' '.join(chosen)}", flush=True)
        overrides = [f"algorithm={arm}", f"arm={arm}", *chosen, *flags.common]
        sweep(flags.name, overrides, flags.seeds, flags.output)


if __name__ == "__main__":
    main()
