"""The stability study: every online method at its best learning rate of one grid, then the best of them on stale data.

    python scripts/stability.py tune                # 5 rates x 2 seeds of their own each; writes conf/stability/
    safelab train -m +sweep=stability               # every method, five fresh seeds
    safelab train -m +sweep=stability_stale         # the best five, ten seeds, fresh and four updates stale

Only the learning rate is tuned, on one grid for all, with everything else as each method's preset has it. It is chosen
by the mean gold score of the last tenth of the updates, because the reward is what gets gamed. Every stage is an
ordinary sweep: running it again goes on where it stopped.
"""

import argparse
from pathlib import Path

from baselines import TUNING_SEEDS, gold_by_arm, sweep

PRESETS = Path(__file__).resolve().parents[1] / "conf" / "stability"
TUNING = "stability_tuning"
LEARNING_RATES = ("3e-5", "1e-4", "3e-4", "1e-3", "3e-3")

METHODS = (
    "ppo", "ppo_matched", "safe", "dar", "grpo", "dr_grpo", "rloo", "reinforce_pp", "remax", "dapo", "gspo", "cispo",
    "dppo", "minpro", "bapo", "r2vpo", "lco", "frpo", "dvpo", "clip_cov", "kl_cov",
)  # fmt: skip


def tune(output: Path) -> None:
    """Every method at every rate."""
    for rate in LEARNING_RATES:
        overrides = [f"algorithm={','.join(METHODS)}", f"optimizer.lr={rate}", f"optimizer.critic_lr={rate}"]
        sweep(TUNING, [*overrides, "samples.every=0"], TUNING_SEEDS, output)


def choose(output: Path) -> dict[str, str]:
    """Each method's best rate, by gold score; a rate at an end of the grid is marked in what is printed."""
    scores = gold_by_arm(output / TUNING)
    best = {}
    for method in METHODS:
        own = scores[[name.split(",")[0] == method for name in scores.index]]
        rates = {name.rsplit("optimizer.lr=", 1)[1]: score for name, score in own.items()}
        if len(rates) != len(LEARNING_RATES):
            raise SystemExit(f"{method}: {len(rates)} of {len(LEARNING_RATES)} rates are there; run the tuning first")
        best[method] = max(rates, key=lambda rate: rates[rate])
        told = "  ".join(f"{rate}: {score:.3f}" for rate, score in sorted(rates.items(), key=lambda row: float(row[0])))
        print(f"{method:14} {told}  -> {best[method]}")
    return best


def write(best: dict[str, str]) -> None:
    """One preset per method."""
    PRESETS.mkdir(exist_ok=True)
    for method, rate in best.items():
        (PRESETS / f"{method}.yaml").write_text(
            "# @package _global_\n"
            f"# {method} at the best of five learning rates (seeds {TUNING_SEEDS}, by final gold score); made by\n"
            "# scripts/stability.py, see docs/log.md.\n"
            f"defaults:\n  - override /algorithm: {method}\n"
            f"optimizer: {{lr: {float(rate):.1e}, critic_lr: {float(rate):.1e}}}\n"
        )


def main() -> None:
    """Tune and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stage", choices=["tune", "choose"])
    parser.add_argument("--output", type=Path, default=Path("outputs"))
    flags = parser.parse_args()
    if flags.stage == "tune":
        tune(flags.output)
    write(choose(flags.output))


if __name__ == "__main__":
    main()
