"""The tuning of the stability study: every method on one grid of learning rates, everything else as it ships.

.venv/bin/python -m scripts.studies.stability                     # prints the arms of conf/sweep/stability.yaml
.venv/bin/python -m scripts.studies.stability --world exact       # and of conf/sweep/stability_exact.yaml
safelab train -m +sweep=stability                       # every method at its best rate, five fresh seeds
safelab train -m +sweep=stability_exact                 # the same in the world of tasks with one right answer

What was tried lies in the ledger of each tuning, and committed in docs/studies/.
"""

from collections.abc import Sequence
from pathlib import Path

from scripts.studies.tuning import Grid, Setting, flags_of, tune

CONF = Path(__file__).resolve().parents[2] / "conf"

LEARNING_RATES = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3)

BY_VOTES = ("zpg", "zbcpg")
"""Their step is plain ascent along an estimate, whose rates are of another size: ten times the others'."""

ANOTHER_NORM = ("trace",)
"""What learns another norm is judged by another gold score, and has a study of its own, ``+sweep=realign``."""

METHODS = tuple(sorted({path.stem for path in (CONF / "algorithm").glob("*.yaml")} - {*ANOTHER_NORM}))

WORLDS = {"small": "stability", "exact": "stability_exact"}
"""The sweep of each embedded world."""


def grid(methods: Sequence[str]) -> Grid:
    """Five rates for each method."""
    return {method: dict(setting(method, rate) for rate in LEARNING_RATES) for method in methods}


def setting(method: str, rate: float) -> tuple[str, Setting]:
    """The name of an arm, and its overrides."""
    if method in BY_VOTES:
        rate = float(f"{10 * rate:.1g}")
        return f"{method},lr={rate}", {"algorithm": method, "optimizer.lr": rate}
    return f"{method},lr={rate}", {"algorithm": method, "optimizer.lr": rate, "optimizer.critic_lr": rate}


def main(arguments: Sequence[str] | None = None) -> None:
    """Tune and print."""
    flags = flags_of("Tune the arms of the stability study, and print them.", METHODS, arguments, worlds=tuple(WORLDS))
    flags.overrides += [f"world={flags.world}", "samples.every=0"]
    tune(grid(flags.methods), f"{WORLDS[flags.world]}_tuning", flags)


if __name__ == "__main__":
    main()
