"""Do two studies rank their arms alike? Kendall's tau of the arms' means, with an interval over seeds.

    python -m scripts.studies.ranking outputs/demo outputs/smollm_sentiment --metric reward_mean gold_final

Each study's report must have been written. The arms are those that both have, the seeds those that all of these arms
finished.

    tau = (pairs of arms in the same order - pairs in the other order) / all pairs, without ties

so 1 is the same ranking and -1 the reversed one. The interval: the means of a study of n seeds are drawn from
Student's t with n - 1 degrees about those found, with the covariance of the arms over seeds, for arms share the prompts
of a seed. Every difference of two arms then has just its paired t interval. (Seeds drawn with replacement would give
an interval that is far too narrow for few seeds.) A study of one seed has no interval.

Ref: Kendall 1938 (tau); Student 1908.
"""

import argparse
import math
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from safelab.errors import DataError, nearest
from safelab.results import text
from safelab.results.compare.statistics import estimate
from safelab.results.model import Estimate

DRAWS = 10_000


def values_of(study: Path, metric: str) -> pd.DataFrame:
    """A column per arm and a row per seed, of the runs that count.

    Raises:
        DataError: no report, or no such metric in it.
    """
    file = study / "report" / "runs.csv"
    if not file.is_file():
        raise DataError(f"studies must have reports, got {study} without {file.name}: safelab report {study}")
    runs = pd.read_csv(file)
    columns = {name.split(" ")[0]: name for name in runs.columns}
    if metric not in columns:
        raise DataError(f"--metric must be a column of {file}, got {metric!r}; {nearest(metric, columns)}")
    return runs[runs["counted"]].pivot(index="seed", columns="arm", values=columns[metric])


def tau_of(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Kendall's tau (b, which allows for ties) of rows of means; the last axis is the arms."""
    first, second = np.triu_indices(left.shape[-1], k=1)
    ours, theirs = (np.sign(means[..., first] - means[..., second]) for means in (left, right))
    untied = np.sqrt((ours != 0).sum(axis=-1) * (theirs != 0).sum(axis=-1))
    with np.errstate(invalid="ignore"):
        tau: np.ndarray = (ours * theirs).sum(axis=-1) / untied
    return tau


def means_drawn(values: np.ndarray, draws: int, generator: np.random.Generator) -> np.ndarray:
    """Where the means of the arms may lie: axes of ``values`` seed, arm; of the result draw, arm."""
    count = len(values)
    mean = values.mean(axis=0)
    deviation = generator.standard_normal((draws, count)) @ (values - mean) / math.sqrt(count * (count - 1))
    widened = np.sqrt((count - 1) / generator.chisquare(count - 1, size=(draws, 1)))
    drawn: np.ndarray = mean + deviation * widened
    return drawn


def tau_interval(left: np.ndarray, right: np.ndarray, draws: int = DRAWS) -> tuple[float | None, float | None]:
    """95 % of the drawn taus lie in it; none where a study has a single seed, or there is one arm."""
    if min(len(left), len(right)) < 2 or left.shape[1] < 2:
        return None, None
    generator = np.random.default_rng(0)
    drawn = tau_of(*(means_drawn(values, draws, generator) for values in (left, right)))
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def alike(found: Sequence[Estimate]) -> str:
    """Whether two differences of the same arms point the same way, where both intervals leave out 0."""
    signs = []
    for each in found:
        if each.low is None or each.high is None or each.low <= 0 <= each.high:
            return "not decided"
        signs.append(each.low > 0)
    return "yes" if signs[0] == signs[1] else "no"


def said(studies: Sequence[Path], metric: str) -> list[str]:
    """Tau with its interval, and each pair of arms in both studies.

    Raises:
        DataError: a report or its metric is not there, or the studies have fewer than two arms in common.
    """
    left, right = (values_of(study, metric) for study in studies)
    arms = sorted(set(left.columns) & set(right.columns))
    if len(arms) < 2:
        raise DataError(f"studies must have two arms in common, got {', '.join(arms) or 'none'}")
    left, right = left[arms].dropna(), right[arms].dropna()
    if left.empty or right.empty:
        raise DataError("each study must have a seed that all arms in common finished, got none")
    low, high = tau_interval(left.to_numpy(), right.to_numpy())
    tau = float(tau_of(left.mean().to_numpy(), right.mean().to_numpy()))
    lines = [
        f"{metric}: tau {text.number(tau, 2)} {text.interval(low, high, 2)} over {len(arms)} arms, "
        f"{len(left)} and {len(right)} seeds",
        f"| pair of arms | {studies[0].name} | {studies[1].name} | same direction |",
        "|---|---|---|---|",
    ]
    for first, second in combinations(arms, 2):
        found = [estimate([*(table[first] - table[second])]) for table in (left, right)]
        cells = [f"{text.number(f.mean, 3, signed=True)} {text.interval(f.low, f.high, 3, signed=True)}" for f in found]
        lines.append(f"| `{first}` − `{second}` | {' | '.join(map(str.strip, cells))} | {alike(found)} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Print."""
    parser = argparse.ArgumentParser(description="Do two studies rank their arms alike?")
    parser.add_argument("studies", nargs=2, type=Path, help="folders of two experiments whose reports are written")
    parser.add_argument("--metric", nargs="+", default=["reward_mean"], help="columns of runs.csv (reward_mean)")
    flags = parser.parse_args(arguments)
    try:
        lines = [line for metric in flags.metric for line in [*said(flags.studies, metric), ""]]
    except DataError as error:
        parser.error(str(error))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
