"""What a study found is kept as numbers: means, intervals, crashed runs, commits, and the ledger beside them."""

from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from safelab.app import cli
from safelab.errors import DataError
from scripts.studies import results
from scripts.tools import make_synthetic_runs


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Synthetic runs with their report, and a ledger."""
    folder = tmp_path / "outputs" / "stability"
    for arm, seed in product(make_synthetic_runs.ARMS, range(3)):
        make_synthetic_runs.write_run(folder, arm, seed, updates=40)
    assert cli.main(["report", str(folder)]) == 0
    tuning = folder.with_name("stability_tuning")
    tuning.mkdir()
    (tuning / "ledger.csv").write_text("method,setting,gold,chosen\nppo,ppo-lr=0.1,1.00004,True\nppo,b,-inf,False\n")
    return folder


def test_the_means_are_those_of_the_runs(study: Path, tmp_path: Path) -> None:
    results.main([str(study), str(study.with_name("stability_tuning")), "--output", str(tmp_path / "kept")])
    kept = pd.read_csv(tmp_path / "kept" / "stability.csv").set_index("method")
    runs = pd.read_csv(study / "report" / "runs.csv")
    gold = next(name for name in runs.columns if name.startswith("gold_final"))
    crash = next(name for name in runs.columns if name.startswith("crash/reward"))
    own = runs[runs["counted"]].groupby("arm")
    assert kept["gold_final"].to_dict() == pytest.approx(own[gold].mean().to_dict(), abs=1e-4)
    assert kept["reward"].to_dict() == own[crash].apply(lambda counts: int((counts > 0).sum())).to_dict()
    assert (kept["gold_final_low"] < kept["gold_final"]).all()
    assert list(kept["gold_final"]) == sorted(kept["gold_final"], reverse=True)
    assert set(kept["runs"]) == {3}
    assert pd.read_csv(tmp_path / "kept" / "stability_tuning.csv")["gold"].tolist() == [1.0, -float("inf")]


def test_without_a_report_it_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"report\.json is not there: safelab report"):
        results.main([str(tmp_path), str(tmp_path)])
