"""The tuning of the stability study: every online method on one grid of learning rates, everything else as it ships.

.venv/bin/python -m scripts.studies.stability             # prints the arms of conf/sweep/stability.yaml
safelab train -m +sweep=stability               # every method at its best rate, five fresh seeds
safelab train -m +sweep=stability_stale         # the best five, ten seeds, fresh and four updates stale
"""

from collections.abc import Sequence

from scripts.studies.tuning import Grid, flags_of, tune

LEARNING_RATES = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3)

METHODS = (
    "ppo", "ppo_matched", "safe", "dar", "grpo", "dr_grpo", "rloo", "reinforce_pp", "remax", "dapo", "gspo", "cispo",
    "dppo", "minpro", "bapo", "r2vpo", "lco", "frpo", "dvpo", "clip_cov", "kl_cov",
)  # fmt: skip


FORMS: dict[str, dict[str, int]] = {"grpo": {"optimizer.epochs": 2}}
"""What a method has here and not by its preset: GRPO makes as many passes as those that it is compared with."""


def grid(methods: list[str]) -> Grid:
    """Five rates for each method."""
    return {
        method: {
            f"{method},lr={rate}": {
                "algorithm": method,
                **FORMS.get(method, {}),
                "optimizer.lr": rate,
                "optimizer.critic_lr": rate,
            }
            for rate in LEARNING_RATES
        }
        for method in methods
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Tune and print."""
    flags = flags_of("Tune the arms of the stability study, and print them.", METHODS, arguments)
    flags.overrides.append("samples.every=0")
    tune(grid(flags.methods), "stability_tuning", flags)


if __name__ == "__main__":
    main()
