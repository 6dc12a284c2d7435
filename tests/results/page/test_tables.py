import math
import re
from pathlib import Path

import pandas as pd
import pytest

from safelab.results import text
from safelab.results.estimates import Estimate
from safelab.results.model import Report
from safelab.results.page.document import Choices, build_report
from safelab.results.page.tables import latex, markdown, write_tables
from safelab.results.runs.load import load
from safelab.results.runs.measures import MEASURES

from ..conftest import MakeRun

ODD = "a|b_c $x$ <i> `d`"


@pytest.fixture
def report(make_run: MakeRun, tmp_path: Path) -> Report:
    for arm, level in (("ppo", 0.4), (ODD, 0.6)):
        for seed in (0, 1):
            flags = {"crash/reward": [0, int(arm == "ppo")], "kl/ref_token_exact": [0.0, 0.2]}
            make_run(arm, seed, rewards=[level, level + 0.1 * seed], columns=flags)
    return build_report(load([tmp_path]), Choices(baseline="ppo"))


def test_csv_and_parquet_have_the_full_numbers_and_units(report: Report, tmp_path: Path) -> None:
    write_tables(report, tmp_path)
    summary = pd.read_csv(tmp_path / "summary.csv").set_index("arm")
    assert summary.loc["ppo", "reward_mean [reward]"] == report.arms[0].estimates["reward_mean"].mean
    assert summary.loc["ppo", "kl_max [nats/token]"] == 0.2
    assert summary.loc["ppo", "crash/reward [runs]"] == 2
    assert summary.loc[ODD, "crash/reward [runs]"] == 0
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "summary.parquet").set_index("arm"), summary, check_dtype=False
    )
    runs = pd.read_csv(tmp_path / "runs.csv")
    assert len(runs) == 4
    assert runs["reward_mean [reward]"].tolist() == [run.measures["reward_mean"] for run in report.runs]


def test_markdown_keeps_its_columns_whatever_arms_are_called(report: Report) -> None:
    rows = [line for line in markdown(report).splitlines() if line.startswith("|")]
    assert r"a\|b\_c $x$ \<i\> \`d\`" in rows[3]
    assert {row.replace(r"\|", "").count("|") for row in rows[:4]} == {rows[0].count("|")}


def test_latex_escapes(report: Report) -> None:
    table = latex(report)
    assert r"a$|$b\_c \$x\$ $<$i$>$ `d` &" in table
    assert r"2 of 2 \\" in table


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        (0.5, 3, "0.500"),
        (-0.5, 1, "−0.5"),
        (-0.0001, 2, "0.00"),
        (1234.5, 0, "1,234"),
        (None, 3, "–"),
        (math.nan, 3, "–"),
        (math.inf, 3, "∞"),
        (-math.inf, 3, "−∞"),
    ],
)
def test_numbers(value: float | None, digits: int, shown: str) -> None:
    assert text.number(value, digits) == shown


def test_words() -> None:
    assert text.number(0.25, 2, signed=True) == "+0.25"
    assert text.estimate(Estimate(n=1, mean=0.5), MEASURES[0]) == "0.500"
    assert text.p_value(0.25) == "p = 0.25"
    assert text.p_value(0.0001) == "p < 0.001"
    assert text.p_value(1.0) == "p = 1"
    assert text.listed(["a"]) == "a"
    assert text.listed(["a", "b", "c"]) == "a, b and c"
    assert text.titled("Mean KL", "nats/token") == "Mean KL (nats/token)"
    assert text.titled("Final reward", "reward") == "Final reward"
    assert text.short("x" * 40, 10) == "xxxxx…xxxx"


def test_no_text_of_a_run_is_a_formula_for_a_spreadsheet(make_run: MakeRun, tmp_path: Path) -> None:
    evil = ("=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(1)")
    for number, arm in enumerate(evil):
        make_run(arm, 0, rewards=[-0.5, -0.5], columns={"=x()": [1.0, 2.0]}, directory=tmp_path / "runs" / str(number))
    found = build_report(load([tmp_path / "runs"]), Choices(metrics=["=x()"]))
    write_tables(found, tmp_path)
    for name in ("summary.csv", "runs.csv"):
        table = pd.read_csv(tmp_path / name)
        assert set(table["arm"]) == {f"'{arm}" for arm in evil}
        assert not [head for head in table.columns if head.startswith("=")]
    assert (pd.read_csv(tmp_path / "summary.csv")["reward_mean [reward]"] == -0.5).all(), "a negative number stays one"
    assert set(pd.read_parquet(tmp_path / "summary.parquet")["arm"]) == set(evil), "no spreadsheet opens that by itself"


def test_markdown_has_no_image_link_or_address_of_a_run(make_run: MakeRun, tmp_path: Path) -> None:
    for number, arm in enumerate(("![a](http://x/y.png)", "[1](https://x)", "www.x.org &lt;b&gt; ~~c~~")):
        make_run(arm, 0, rewards=[0.5], directory=tmp_path / "runs" / str(number))
    shown = markdown(build_report(load([tmp_path / "runs"]), Choices()))
    assert "![" not in shown
    assert not re.search(r"(?<!\\)\]\(", shown)
    assert "://" not in shown
    assert "www.x" not in shown
    assert "&lt;" not in shown.replace("\\&lt;", "")
    assert "\\!\\[a\\](http:/\\/x/y.png)" in shown


def test_large_and_small_numbers() -> None:
    assert text.number(1e308, 3) == "1e+308"
    assert text.number(-12345678.9, 3) == "−1.235e+07"
    assert text.difference(Estimate(n=5, mean=2e-5, low=1e-5, high=3e-5), 3) == "+0.000020 [+0.000010, +0.000030]"
    assert text.difference(Estimate(n=5, mean=2e-12, low=1e-12, high=3e-12), 3) == "+2e−12 [+1e−12, +3e−12]"
    assert text.difference(Estimate(n=5, mean=0.2, low=-0.1, high=0.5), 3) == "+0.200 [−0.100, +0.500]"
    assert text.difference(Estimate(n=5, mean=0.0, low=0.0, high=0.0), 3) == "0.000 [0.000, 0.000]"
