"""The way over the square root of the KL of a response, by hand; and that the figure is drawn where a gold score is."""

import math
from pathlib import Path

import pytest

from safelab.results.model import Line, Panel
from safelab.results.page.against_kl import distances, overoptimisation
from safelab.results.page.document import Choices, build_report
from safelab.results.runs.load import load

from ..conftest import MakeRun


def panel(metric: str, seeds: dict[int, list[float | None]]) -> Panel:
    line = Line(arm="ppo", mean=[None, None], low=[None, None], high=[None, None], seeds=seeds)
    return Panel(metric=metric, label="", unit="", steps=[0, 1], lines=[line])


def test_the_kl_of_a_response_is_that_of_a_token_times_its_tokens() -> None:
    kl = panel("kl", {0: [0.0, 0.5], 1: [0.1, None]})
    length = panel("length", {0: [10.0, 8.0], 1: [10.0, 8.0]})
    (line,) = distances(kl, length).lines
    assert line.seeds == {0: [0.0, 2.0], 1: [1.0, None]}
    assert line.mean == [0.5, 2.0]


def test_an_estimate_below_zero_is_no_distance() -> None:
    (line,) = distances(panel("kl", {0: [-0.1, 0.09]}), panel("length", {0: [10.0, 1.0]})).lines
    assert line.mean == pytest.approx([0.0, 0.3])


def test_it_is_drawn_where_runs_have_a_gold_score(make_run: MakeRun, tmp_path: Path) -> None:
    columns = {"kl/ref_token_exact": [0.0, 0.1], "response/length_mean": [10.0, 40.0]}
    make_run(
        "ppo", 0, rewards=[0.5, 0.6], columns={**columns, "reward/gold_mean": [0.1, 0.2]}, directory=tmp_path / "a"
    )
    figure = overoptimisation(build_report(load([tmp_path / "a"]), Choices(baseline="ppo")))
    reward, gold = figure.axes
    assert [place.get_title() for place in (reward, gold)] == ["Reward against KL", "Gold score against KL"]
    (end,) = gold.collections[0].get_offsets()
    assert [*end] == pytest.approx([math.sqrt(0.1 * 40.0), 0.2])

    make_run("ppo", 0, rewards=[0.5, 0.6], columns=columns, directory=tmp_path / "b")
    assert overoptimisation(build_report(load([tmp_path / "b"]), Choices(baseline="ppo"))) is None
