"""Published numbers beside ours: worked by hand on made runs, and SAFE's as they are committed."""

import math
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from scipy import stats

from safelab.errors import DataError
from safelab.results.model import Report
from safelab.results.page.document import Choices, build_report
from safelab.results.page.html import render
from safelab.results.page.tables import markdown, write_tables
from safelab.results.paper_model import PaperRow
from safelab.results.published.read import About, Number, Publication, read
from safelab.results.runs.config import uneven
from safelab.results.runs.load import load
from safelab.results.words import beside_paper
from safelab.results.words.terminal import show_paper

MakeRun = Callable[..., Path]
KL = "kl/ref_token_exact"


def published(*numbers: Number) -> Publication:
    about = About(
        title="A study", source=["arXiv 1"], claim="It is better.", settings=["ten updates"], departures=["one seed"],
        margin_reason="half of the claim", unread=["its appendix"],
    )  # fmt: skip
    return Publication(name="study", about=about, numbers=list(numbers))


def number(**changes) -> Number:
    base = {"arm": "ppo", "quantity": "reward", "metric": "reward_mean", "value": 0.5, "sd": None, "n": None}
    return Number(**{**base, "unit": "reward", "margin": None, "place": "table 1", "note": "", **changes})


def report(tmp_path: Path, paper: Publication) -> Report:
    return build_report(load([tmp_path]), Choices(paper=paper))


def row_of(tmp_path: Path, **changes) -> PaperRow:
    found = report(tmp_path, published(number(**changes))).paper
    assert found is not None
    (row,) = found.rows
    return row


def of_safe(tmp_path: Path) -> dict[tuple[str, str], PaperRow]:
    found = report(tmp_path, read("safe")).paper
    assert found is not None
    return {(row.arm, row.quantity): row for row in found.rows}


def test_safes_gain_and_variance_ratio_by_hand(make_run: MakeRun, tmp_path: Path) -> None:
    saw = [0.1 * (-1) ** update for update in range(40)]
    for seed in (0, 1):
        make_run("ppo_released", seed, [0.5 + 2 * x for x in saw], {"time/total_s": [1.0] * 40})
        make_run("safe_released", seed, [0.6 + x for x in saw], {"time/total_s": [1.01] * 40})
    found = of_safe(tmp_path)
    said = {key: beside_paper.here(row) for key, row in found.items()}
    assert said["safe_released", "training-average reward"].startswith("0.600 reward")
    assert (
        said["safe_released over ppo_released", "gain in training-average reward"]
        == "+20.00 % [+20.00, +20.00] (2 paired seeds)"
    )
    # Deviations 2 to 1 are variances 4 to 1.
    assert said["ppo_released over safe_released", "reward variance"] == "4.00 times [4.00, 4.00] (2 paired seeds)"
    assert (
        said["safe_released over ppo_released", "overhead in time per update"] == "+1.0 % [+1.0, +1.0] (2 paired seeds)"
    )
    gain = found["safe_released over ppo_released", "gain in training-average reward"]
    assert (gain.published, beside_paper.published(gain)) == (5.15, "+5.15 %")
    assert gain.verdict == "not tested"  # both seeds have the same ratio


def test_ratios_are_geometric_means_and_tested_as_logarithms(make_run: MakeRun, tmp_path: Path) -> None:
    factors = (1.1, 1.3, 1.2)
    for seed, factor in enumerate(factors):
        make_run("ppo", seed, [1.0, 1.0])
        make_run("safe", seed, [factor, factor])
    row = row_of(tmp_path, arm="safe/ppo", value=20.0, unit="%", margin=15.0)
    logs = [math.log(factor) for factor in factors]
    mean = 100 * (math.exp(sum(logs) / 3) - 1)
    assert row.here is not None
    assert row.here.mean == pytest.approx(mean)
    assert row.difference is not None
    assert row.difference.mean == pytest.approx(mean - 20)
    above = stats.ttest_1samp(logs, math.log(1.05), alternative="greater").pvalue
    below = stats.ttest_1samp(logs, math.log(1.35), alternative="less").pvalue
    assert row.p_equivalent == pytest.approx(max(above, below), abs=1e-9)
    assert row.p_different == pytest.approx(stats.ttest_1samp(logs, math.log(1.2)).pvalue, abs=1e-9)
    assert (row.arm, row.verdict) == ("safe over ppo", "equivalent" if max(above, below) < 0.05 else "not decided")


def test_a_ratio_with_seeds_that_allow_none_is_no_test(make_run: MakeRun, tmp_path: Path) -> None:
    # Three seeds agree to 1 %; the two that a logarithm would drop are those in which the arm got nothing.
    for seed, reward in enumerate((1.00, 1.01, 0.99, -0.5, 0.0)):
        make_run("ppo", seed, [1.0])
        make_run("safe", seed, [reward])
    row = row_of(tmp_path, arm="safe/ppo", value=0.0, unit="%", margin=5.0)
    assert (row.verdict, row.why) == ("not tested", "reward_mean is not positive in 2 of 5 paired seeds")
    assert (row.here, row.p_different, row.p_equivalent) == (None, None, None)
    # Of the baseline's runs, too.
    assert row_of(tmp_path, arm="ppo/safe", value=0.0, unit="%", margin=5.0).why == row.why


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((1.0, 1.1, None), "policy/norm is missing in 1 of 3 paired seeds"),
        ((1.0, math.inf, None), "policy/norm is missing in 1 and not finite in 1 of 3 paired seeds"),
        ((0.0, -1.0, 2.0), "policy/norm is not positive in 2 of 3 paired seeds"),
    ],
)
def test_every_kind_of_value_without_a_logarithm_is_named(
    make_run: MakeRun, tmp_path: Path, values: tuple[float | None, ...], said: str
) -> None:
    for seed, value in enumerate(values):
        make_run("ppo", seed, [1.0], {"policy/norm": [1.0]})
        make_run("safe", seed, [1.0], {} if value is None else {"policy/norm": [value]})
    row = row_of(tmp_path, arm="safe/ppo", metric="policy/norm", value=1.0, unit="times", margin=0.5)
    assert (row.verdict, row.why) == ("not tested", said)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((1.0, 1.1, math.inf), "policy/norm is not finite in 1 of 3 runs"),
        ((1.0, None, -math.inf), "policy/norm is missing in 1 and not finite in 1 of 3 runs"),
        ((1.0, 1.1, None), "policy/norm is missing in 1 of 3 runs"),
        ((math.inf,), "policy/norm is not finite in 1 of 1 runs"),
        ((1.0, 1.0), "runs that do not vary"),
        ((1.7e308, -1.7e308), "values too large for a deviation"),
        ((1.0,), "a single run"),
    ],
)
@pytest.mark.parametrize("theirs", [{}, {"sd": 1e-13, "n": 3.0}])
def test_a_level_without_a_test_says_which_thing_it_lacks(
    make_run: MakeRun, tmp_path: Path, values: tuple[float | None, ...], said: str, theirs: dict[str, float]
) -> None:
    for seed, value in enumerate(values):
        make_run("ppo", seed, [1.0], {} if value is None else {"policy/norm": [value]})
    row = row_of(tmp_path, metric="policy/norm", value=1.0, unit="", margin=0.5, **theirs)
    assert (row.verdict, row.why, row.p_different, row.p_equivalent) == ("not tested", said, None, None)


def test_a_square_that_no_float_holds_is_not_finite(make_run: MakeRun, tmp_path: Path) -> None:
    for seed, value in enumerate((1e200, 1.0)):
        make_run("ppo", seed, [1.0], {"policy/norm": [value]})
    row = row_of(tmp_path, metric="policy/norm^2", value=1.0, unit="", margin=0.5)
    assert (row.verdict, row.why) == ("not tested", "policy/norm is not finite in 1 of 2 runs")
    assert row_of(tmp_path, metric="policy/norm", value=1.0, sd=1.0, n=3.0, unit="").why == (
        "values too large for a deviation"
    )


def test_runs_that_differ_among_themselves_are_no_repetitions(make_run: MakeRun, tmp_path: Path) -> None:
    for seed, rate in enumerate((0.1, 0.1, 0.2)):
        crash = {"crash/reward": [0]}
        make_run("ppo", seed, [0.50 + 0.01 * seed], crash, config={"seed": seed, "optimizer": {"lr": rate}})
        make_run("safe", seed, [0.60 + 0.02 * seed], crash, config={"seed": seed, "optimizer": {"lr": 0.1}})
    level = row_of(tmp_path, value=0.51, margin=0.5)
    assert (level.verdict, level.why, level.p_different) == ("not tested", "its runs are no repetitions", None)
    assert beside_paper.here(level) == "0.510 reward (3 runs)"  # and no interval over what are no repetitions
    assert row_of(tmp_path, arm="safe", value=0.62, margin=0.5).verdict == "equivalent"
    ratio = row_of(tmp_path, arm="safe/ppo", value=1.2, unit="times", margin=1.0)
    assert (ratio.verdict, ratio.why) == ("not tested", "runs of ppo are no repetitions")
    share = row_of(tmp_path, metric="crash/reward", value=0.3, n=10.0, unit="share of runs")
    assert (share.verdict, share.why) == ("not tested", "its runs are no repetitions")
    assert beside_paper.here(share) == "0 of 3 runs"
    assert row_of(tmp_path, metric="gold_final").verdict == "not measured"


def test_a_run_that_does_not_count_makes_none_uneven(make_run: MakeRun, tmp_path: Path) -> None:
    for seed, rate in enumerate((0.1, 0.1, 0.2)):
        status = "failed" if seed == 2 else "finished"
        make_run("ppo", seed, [0.5 + 0.01 * seed], config={"seed": seed, "lr": rate}, status=status)
    assert row_of(tmp_path, margin=0.5).verdict == "equivalent"


def test_a_key_whose_values_happen_to_be_the_seeds_makes_runs_no_repetitions(make_run: MakeRun, tmp_path: Path) -> None:
    for seed in range(3):
        config = {"seed": seed, "data": {"seed": seed}, "rollout": {"staleness": seed}}
        make_run("ppo", seed, [0.5 + 0.01 * seed], config=config)
    assert uneven(load([tmp_path])) == {"ppo": ["rollout.staleness"]}
    assert row_of(tmp_path, margin=0.5).verdict == "not tested"


def test_the_number_of_runs_stands_with_every_number_of_ours(make_run: MakeRun, tmp_path: Path) -> None:
    for seed in range(3):
        make_run("ppo", seed, [0.5])
        if seed < 1:
            make_run("safe", seed, [0.5])
    found = report(tmp_path, published(number(), number(arm="safe"), number(arm="safe/ppo", value=1.0, unit="times")))
    cells = ["(3 runs)", "(1 run)", "(1 paired seed)"]
    assert found.paper is not None
    assert [beside_paper.here(row).partition(" (")[2] for row in found.paper.rows] == [one[1:] for one in cells]
    console = Console(width=300, record=True, file=StringIO())
    show_paper(found.paper, console)
    for made in (console.export_text(), render(found), markdown(found).replace("\\", "")):
        assert all(one in made for one in cells)


def test_a_margin_beyond_what_a_ratio_can_be_has_no_lower_end(make_run: MakeRun, tmp_path: Path) -> None:
    for seed, factor in enumerate((1.1, 1.3, 1.2)):
        make_run("ppo", seed, [1.0, 1.0])
        make_run("safe", seed, [factor, factor])
    row = row_of(tmp_path, arm="safe/ppo", value=1.2, unit="times", margin=5.0)
    assert row.verdict == "equivalent"


def test_a_level_against_runs_with_a_deviation_is_welchs(make_run: MakeRun, tmp_path: Path) -> None:
    values = [0.50, 0.52, 0.54]
    for seed, value in enumerate(values):
        make_run("ppo", seed, [value, value])
    row = row_of(tmp_path, value=0.60, sd=0.01, n=4.0, margin=0.2)
    ours = stats.describe(values)
    oracle = stats.ttest_ind_from_stats(0.52, math.sqrt(ours.variance), 3, 0.60, 0.01, 4, equal_var=False)
    assert row.p_different == pytest.approx(oracle.pvalue, abs=1e-9)
    assert row.verdict == "equivalent"  # 0.08 apart, for certain, and within 0.2
    assert row_of(tmp_path, value=0.60, sd=0.01, n=4.0, margin=0.05).verdict == "different"
    assert row_of(tmp_path, value=0.53, margin=0.001).verdict == "not decided"


def test_a_share_is_compared_in_per_cent_where_that_is_published(make_run: MakeRun, tmp_path: Path) -> None:
    for seed, rate in enumerate((0.8, 0.9)):
        make_run("ppo", seed, [1.0], {"response/eos_rate": [rate]})
    row = row_of(tmp_path, metric="eos_final", value=64.7, unit="%")
    assert row.here is not None
    assert row.here.mean == pytest.approx(85.0)
    assert row.here.high is not None
    assert row.here.high < 100  # bounded as a share
    assert beside_paper.difference(row).startswith("+20.3 points")


def test_a_metric_that_is_only_logged_becomes_a_measure(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("ppo", 0, [1.0, 1.0], {"policy/grad_norm": [2.0, 3.0]})
    row = row_of(tmp_path, metric="policy/grad_norm", value=3.5, unit="")
    assert row.here is not None
    assert row.here.mean == 3.0
    assert (row.verdict, row.why) == ("not tested", "a single run")


@pytest.mark.parametrize(
    ("published_n", "verdict"), [(None, "not tested"), (10.0, "not decided"), (1000.0, "different")]
)
def test_runs_that_crash_are_counted_and_tested_by_fisher(
    make_run: MakeRun, tmp_path: Path, published_n: float | None, verdict: str
) -> None:
    for seed in range(4):
        make_run("ppo", seed, [0.5, 0.5], {"crash/reward": [0, 1]})
    row = row_of(tmp_path, metric="crash/reward", value=0.3, n=published_n, unit="share of runs")
    assert beside_paper.here(row) == "4 of 4 runs (40 to 100 %)"
    assert beside_paper.published(row).startswith("30 % of runs")
    assert beside_paper.difference(row) == "+70 points"
    assert row.verdict == verdict
    if published_n is not None:
        n, k = int(published_n), round(0.3 * published_n)
        assert row.p_different == pytest.approx(stats.fisher_exact([[4, 0], [k, n - k]]).pvalue)


def test_what_is_not_measured_says_why(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("ppo", 0)
    assert row_of(tmp_path, metric="").why == "no measure of ours is the same"
    assert row_of(tmp_path, metric="policy/nowhere").why == "these runs do not log policy/nowhere"
    assert (
        row_of(tmp_path, metric="crash/reward", unit="share of runs").why == "these runs did not look for crash/reward"
    )
    assert row_of(tmp_path, metric="gold_final").why == "these runs have no gold_final"
    found = report(tmp_path, published(number(), number(arm="rloo"))).paper
    assert found is not None
    assert [row.why for row in found.rows] == ["a single run", "no run of rloo counts here"]
    said = beside_paper.summary(found)[0]
    assert (
        said
        == "Beside A study (arXiv 1): of 2 comparisons with published numbers, 1 not tested, 1 without a measure here."
    )


def test_it_stands_in_all_files_and_only_if_asked_for(make_run: MakeRun, tmp_path: Path) -> None:
    for seed in (0, 1):
        make_run("ppo", seed, [0.4 + 0.1 * seed])
    with_paper = report(tmp_path, published(number(margin=0.1, note="another <scale>"), number(metric="")))
    assert "## Beside the paper" in markdown(with_paper)
    page = render(with_paper)
    assert 'id="published"' in page
    assert "another &lt;scale&gt;" in page
    assert "no measure of ours is the same" in page
    write_tables(with_paper, tmp_path)
    frame = pd.read_csv(tmp_path / "paper.csv")
    assert list(frame["verdict"]) == ["not decided", "not measured"]
    assert frame["here"][0] == pytest.approx(0.45)
    assert math.isnan(frame["here"][1])
    without = build_report(load([tmp_path]), Choices())
    assert "## Beside the paper" not in markdown(without)
    assert 'id="published"' not in render(without)


def test_without_any_of_the_arms_it_says_which_it_needs(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("grpo", 0)
    with pytest.raises(
        DataError, match="needs runs of the arms safe_released and ppo_released, or safe and ppo_matched"
    ):
        report(tmp_path, read("safe_paper"))
    with pytest.raises(DataError, match="--paper study needs runs of the arms dar and rloo; got grpo"):
        report(tmp_path, published(number(arm="dar"), number(arm="rloo")))
    # Nothing would be compared anyhow.
    assert row_of(tmp_path, arm="dar", metric="").why == "no measure of ours is the same"


def test_where_no_choice_of_arms_is_whole_the_rows_say_what_has_no_run(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("safe", 0)
    found = {key: row.why for key, row in of_safe(tmp_path).items()}
    assert found["safe", "training-average reward"] == "a single run"
    assert found["safe over ppo", "gain in training-average reward"] == "no run of ppo counts here"


def test_each_of_our_arms_that_stands_for_one_of_theirs_has_its_row_once(make_run: MakeRun, tmp_path: Path) -> None:
    for arm in ("safe", "ppo", "ppo_matched"):
        make_run(arm, 0)
    arms = [arm for arm, quantity in of_safe(tmp_path) if quantity == "training-average reward"]
    assert sorted(arms) == ["ppo", "ppo_matched", "safe"]
    found = report(tmp_path, read("safe")).paper
    assert found is not None
    assert len(set(found.rows)) == len(found.rows) == 3 + 2 * 3 + 1
