"""The tuning of the fair comparison: every method on a grid of its own six settings, all grids of one form.

    .venv/bin/python -m scripts.studies.baselines             # prints the arms of conf/sweep/baselines.yaml
    safelab train -m +sweep=baselines               # the comparison, on seeds that the tuning has not seen

The grid is learning rate times strength of the KL penalty, as ``tuning.py`` says.
"""

from collections.abc import Sequence
from itertools import product

from scripts.studies.tuning import Grid, flags_of, tune

LEARNING_RATES = (1e-4, 3e-4, 1e-3)
STRENGTHS = (1.0, 5.0)

# Each method's own coefficient at strength 1; ppo_adaptive_kl is tuned through its target instead (lower is stronger).
PENALTIES = {
    "safe": ("controller.coefficient.value", 0.1),
    "ppo_matched": ("controller.coefficient.value", 0.1),
    "ppo": ("controller.coefficient.value", 0.05),
    "ppo_adaptive_kl": ("controller.coefficient.target", 6.0),
    "asymmetric_kl": ("controller.coefficient.value", 0.1),
}


def value(key: str, base: float, strength: float) -> float:
    """A coefficient is multiplied by the strength, a target is divided by it."""
    return round(base / strength if key.endswith("target") else base * strength, 6)


def grid(methods: list[str]) -> Grid:
    """Six settings for each method."""
    settings: dict[str, dict[str, dict[str, object]]] = {method: {} for method in methods}
    for method, rate, strength in product(methods, LEARNING_RATES, STRENGTHS):
        key, base = PENALTIES[method]
        settings[method][f"{method},lr={rate},strength={strength}"] = {
            "algorithm": method,
            "optimizer.lr": rate,
            "optimizer.critic_lr": rate,
            key: value(key, base, strength),
        }
    return settings


def main(arguments: Sequence[str] | None = None) -> None:
    """Tune and print."""
    flags = flags_of("Tune the arms of the fair comparison, and print them.", tuple(PENALTIES), arguments)
    tune(grid(flags.methods), "baselines_tuning", flags)


if __name__ == "__main__":
    main()
