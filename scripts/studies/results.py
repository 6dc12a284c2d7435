"""Keep what a study found: one row per arm in docs/studies/, which the pages of methods are made from.

    safelab report outputs/stability --baseline ppo_matched
    .venv/bin/python -m scripts.studies.results outputs/stability outputs/stability_tuning

The first folder holds the study with its report, the second its tuning with the ledger. ``docs/studies/<study>.csv``
then has the means with 95 % intervals and counts of crashed runs, ``docs/studies/<study>_tuning.csv`` every setting.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from safelab.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
STUDIES = ROOT / "docs" / "studies"

MEASURES = ("reward_mean", "reward_final", "gold_final", "kl_final", "entropy_final")
CRASHES = ("reward", "kl_spike", "kl_explosion", "entropy_collapse", "hacking")
DIGITS = 4


def main(arguments: Sequence[str] | None = None) -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="folder of the study, with its report")
    parser.add_argument("tuning", type=Path, help="folder of its tuning, with ledger.csv")
    parser.add_argument("--output", type=Path, default=STUDIES, help="where to write (docs/studies)")
    given = parser.parse_args(arguments)
    report, ledger = given.study / "report" / "report.json", given.tuning / "ledger.csv"
    for file, remedy in ((report, f"safelab report {given.study}"), (ledger, "run the tuning")):
        if not file.is_file():
            raise DataError(f"{file} is not there: {remedy}")
    given.output.mkdir(parents=True, exist_ok=True)
    table(json.loads(report.read_text(encoding="utf-8"))).to_csv(given.output / f"{given.study.name}.csv", index=False)
    tried = pd.read_csv(ledger).round(DIGITS)
    tried.to_csv(given.output / f"{given.tuning.name}.csv", index=False)


def table(report: Mapping[str, Any]) -> pd.DataFrame:
    """A row for each arm, by final gold score."""
    equal_kl = equal_kl_gold(report)
    commits = commits_of(report)
    rows = [
        row(arm) | {"gold_at_equal_kl": equal_kl.get(arm["name"]), "commits": commits[arm["name"]]}
        for arm in report["arms"]
    ]
    return pd.DataFrame(rows).sort_values("gold_final", ascending=False, kind="stable").round(DIGITS)


def row(arm: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of one arm; crash columns count its runs."""
    found: dict[str, Any] = {"method": arm["name"], "runs": arm["counted"], "diverged": arm["diverged"]["k"]}
    for name in MEASURES:
        estimate = arm["estimates"][name]
        found |= {name: estimate["mean"], f"{name}_low": estimate["low"], f"{name}_high": estimate["high"]}
    return found | {name: arm["crashed"][f"crash/{name}"]["k"] for name in CRASHES}


def commits_of(report: Mapping[str, Any]) -> dict[str, str]:
    """Short hashes of the commits that each arm's runs were made at."""
    made: dict[str, set[str]] = {}
    for run in report["runs"]:
        made.setdefault(run["arm"], set()).add((run["git_commit"] or "unknown")[:7])
    return {arm: " ".join(sorted(hashes)) for arm, hashes in made.items()}


def equal_kl_gold(report: Mapping[str, Any]) -> dict[str, float | None]:
    """Gold score of each arm with its runs stopped within the largest KL at which arms are compared."""
    compared = report["equal_kl"]
    largest = max((each["kl"] for each in compared), default=None)
    return {each["arm"]: each["gold"]["mean"] for each in compared if each["kl"] == largest}


if __name__ == "__main__":
    main()
