"""Do two studies rank their arms alike? Kendall's tau of the arms' means, with an interval from resampled seeds.

    python -m scripts.studies.ranking outputs/demo outputs/smollm_sentiment --metric reward_mean gold_final

Each study's report must have been written. The arms are those that both have, the seeds those that all of these arms
finished. Seeds are resampled within each study, the same ones for all arms, because arms share the prompts of a seed.

    tau = (pairs of arms in the same order - pairs in the other order) / all pairs

so 1 is the same ranking and -1 the reversed one.

Ref: Kendall 1938 (tau); Efron & Tibshirani 1993, chapter 13 (percentile interval).
"""

import argparse
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from safelab.results import text
from safelab.results.compare.statistics import estimate

DRAWS = 10_000


def values_of(study: Path, metric: str) -> pd.DataFrame:
    """A column per arm and a row per seed of the runs that count; only seeds that every arm has."""
    runs = pd.read_csv(study / "report" / "runs.csv")
    (column,) = [name for name in runs.columns if name.split(" ")[0] == metric]
    return runs[runs["counted"]].pivot(index="seed", columns="arm", values=column)


def tau_of(left: np.ndarray, right: np.ndarray) -> float:
    """Kendall's tau (b, which allows for ties) of two rows of means."""
    return float(stats.kendalltau(left, right).statistic)


def resampled(left: np.ndarray, right: np.ndarray, draws: int, seed: int = 0) -> np.ndarray:
    """Tau of the means of seeds drawn with replacement. Axes: seed, arm; the two studies may differ in seeds."""
    generator = np.random.default_rng(seed)

    def means(values: np.ndarray) -> np.ndarray:
        return values[generator.integers(len(values), size=(draws, len(values)))].mean(axis=1)

    return np.array([tau_of(a, b) for a, b in zip(means(left), means(right), strict=True)])


def said(studies: Sequence[Path], metric: str, draws: int = DRAWS) -> list[str]:
    """Tau with its interval, and each pair of arms in both studies."""
    left, right = (values_of(study, metric) for study in studies)
    arms = sorted(set(left.columns) & set(right.columns))
    left, right = left[arms].dropna(), right[arms].dropna()
    drawn = resampled(left.to_numpy(), right.to_numpy(), draws)
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    tau = tau_of(left.mean().to_numpy(), right.mean().to_numpy())
    lines = [
        f"{metric}: tau {text.number(tau, 2)} {text.interval(low, high, 2)} over {len(arms)} arms, "
        f"{len(left)} and {len(right)} seeds",
        f"| pair of arms | {studies[0].name} | {studies[1].name} | same direction |",
        "|---|---|---|---|",
    ]
    for first, second in combinations(arms, 2):
        found = [estimate([*(table[first] - table[second])]) for table in (left, right)]
        cells = [f"{text.number(f.mean, 3, signed=True)} {text.interval(f.low, f.high, 3, signed=True)}" for f in found]
        alike = (found[0].mean or 0.0) * (found[1].mean or 0.0) > 0
        lines.append(f"| `{first}` − `{second}` | {' | '.join(cells)} | {'yes' if alike else 'no'} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Print."""
    parser = argparse.ArgumentParser(description="Do two studies rank their arms alike?")
    parser.add_argument("studies", nargs=2, type=Path, help="folders of two experiments whose reports are written")
    parser.add_argument("--metric", nargs="+", default=["reward_mean"], help="columns of runs.csv (reward_mean)")
    flags = parser.parse_args(arguments)
    print("\n".join(line for metric in flags.metric for line in [*said(flags.studies, metric), ""]))


if __name__ == "__main__":
    main()
