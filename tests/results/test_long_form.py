"""Tables of other trainers: what is read, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from safelab.errors import DataError
from safelab.results.page.document import Choices, build_report
from safelab.results.page.figures import write_figures
from safelab.results.runs.load import load
from safelab.runlog.long_form import read_long_form

ROWS = [
    ("a0", "theirs", 0, update, metric, value)
    for update, pair in enumerate([(0.1, 0.0), (0.3, 0.2)])
    for metric, value in zip(("reward/mean", "kl/ref_token_exact"), pair, strict=True)
]
COLUMNS = ["run", "arm", "seed", "update", "metric", "value"]


def table(tmp_path: Path, rows: list[tuple[object, ...]], name: str = "curves.csv") -> Path:
    path = tmp_path / name
    frame = pd.DataFrame(rows, columns=COLUMNS)
    frame.to_csv(path, index=False) if name.endswith("csv") else frame.to_parquet(path)
    return path


@pytest.mark.parametrize("name", ["curves.csv", "curves.parquet"])
def test_a_run_is_its_rows(tmp_path: Path, name: str) -> None:
    (run,) = read_long_form(table(tmp_path, ROWS, name))
    assert (run.info.arm, run.info.seed, run.info.updates, run.info.status) == ("theirs", 0, 2, "finished")
    assert run.metrics["reward/mean"].tolist() == [0.1, 0.3]
    assert run.metrics["kl/ref_token_exact"].tolist() == [0.0, 0.2]


def test_a_metric_under_its_old_name_has_todays(tmp_path: Path) -> None:
    (run,) = read_long_form(table(tmp_path, [*ROWS, ("a0", "theirs", 0, 1, "controller/coef", 0.5)]))
    assert run.metrics["controller/kl_slope"].tolist()[1] == 0.5
    assert "controller/coef" not in run.metrics


def test_it_enters_the_same_table_as_runs_of_ours(make_run: Callable[..., Path], tmp_path: Path) -> None:
    ours = make_run("ppo", 0, [0.2, 0.4])
    report = build_report(load([ours, table(tmp_path, ROWS)]), Choices(baseline="ppo"))
    (row,) = [row for row in report.comparisons if row.measure == "reward_mean"]
    assert (row.arm, row.difference.mean) == ("theirs", pytest.approx(-0.1))


def test_a_value_that_is_no_number_is_named(tmp_path: Path) -> None:
    (run,) = read_long_form(table(tmp_path, [*ROWS, ("a0", "theirs", 0, 1, "policy/loss", "oops")]))
    assert [(bad.line, bad.reason) for bad in run.damaged] == [(6, "policy/loss is no number: 'oops'")]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([*ROWS, ("a0", "other", 0, 2, "reward/mean", 1.0)], "a run must have one arm, got theirs, other"),
        ([*ROWS, ("a1", "theirs", "x", 2, "reward/mean", 1.0)], "seed must be a whole number of at least 0, got 'x'"),
        ([*ROWS, ("a1", "theirs", 1, -2, "reward/mean", 1.0)], "update must be a whole number of at least 0, got -2"),
    ],
)
def test_what_cannot_be_a_run_is_one_message(tmp_path: Path, rows: list[tuple[object, ...]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_long_form(table(tmp_path, rows))


def test_a_table_of_another_form_names_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text("step,reward\n0,0.1\n")
    with pytest.raises(DataError, match="got step, reward; missing: run, arm, seed, update, metric, value"):
        read_long_form(path)


def test_what_is_no_table_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "broken.parquet"
    path.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DataError, match="must be a table in long form, and cannot be read"):
        read_long_form(path)
    with pytest.raises(DataError, match="must be a readable file"):
        read_long_form(tmp_path / "none.csv")


def test_values_that_are_not_finite_are_counted_and_names_like_nothing_are_names(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(
        "run,arm,seed,update,metric,value\n"
        "r,NA,0,0,reward/mean,0.5\nr,NA,0,1,reward/mean,nan\nr,NA,0,2,reward/mean,-Inf\nr,NA,0,3,reward/mean,\n"
    )
    (run,) = read_long_form(path)
    assert run.info.arm == "NA"
    assert run.non_finite == {"reward/mean": 2}
    assert not run.damaged
    report = build_report(load([path]), Choices())
    assert "values that are not finite in reward/mean (2)" in " ".join(report.notes)


def test_arms_without_a_seed_in_common_and_values_at_the_end_of_the_floats(tmp_path: Path) -> None:
    values = (("a", 0, 0.1), ("a", 1, 0.2), ("b", 2, 0.9), ("b", 3, 0.8), ("c", 0, 1e308), ("c", 1, -1e308))
    rows = [f"{arm}{seed},{arm},{seed},0,reward/mean,{value}" for arm, seed, value in values]
    path = tmp_path / "x.csv"
    path.write_text("run,arm,seed,update,metric,value\n" + "\n".join(rows) + "\n")
    report = build_report(load([path]), Choices(baseline="a"))
    assert "b shares no seed with it" in report.verdict[0]
    assert "c cannot be told apart from a" in report.verdict[0]
    written = write_figures(report, tmp_path / "figures")
    assert all(path.stat().st_size for path in written)
