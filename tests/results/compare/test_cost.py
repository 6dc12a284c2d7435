from pathlib import Path

import pandas as pd

from safelab.results.compare.cost import cells, costs, steps_of
from safelab.results.model import CostRow
from safelab.results.page.document import Choices, build_report
from safelab.results.page.html import render
from safelab.results.page.tables import markdown
from safelab.results.runs.load import load

from ..conftest import MakeRun

PPO = {"optimizer": {"name": "adamw", "epochs": 4, "minibatches": 2}}
ZPG = {"optimizer": {"name": "zeroth_order", "epochs": 1, "minibatches": 1}}


def two_arms(make_run: MakeRun) -> None:
    """Two updates of 32 responses: PPO by eight steps each; ZPG by one, with 64 responses and some votes."""
    for seed, votes in ((0, [200, 400]), (1, [100, 256])):
        make_run("ppo", seed, columns={"episodes": [32, 64]}, config=PPO)
        make_run("zpg", seed, columns={"episodes": [64, 128], "votes": votes}, config=ZPG)


def test_what_two_arms_spent(make_run: MakeRun, tmp_path: Path) -> None:
    two_arms(make_run)
    report = build_report(load([tmp_path]), Choices(baseline="ppo"))
    ppo = CostRow(arm="ppo", episodes=64.0, votes=0.0, steps=16.0, backward=16.0)
    zpg = CostRow(arm="zpg", episodes=128.0, votes=328.0, steps=2.0, backward=0.0)
    assert [*report.costs] == [ppo, zpg]
    said = markdown(report)
    assert "| ppo | 64 | 0 | 16 | 16 |" in said
    assert "| zpg | 128 | 328 | 2 | 0 |" in said
    assert '<section id="cost">' in render(report)


def test_a_gradient_penalty_takes_two_backward_passes_a_step(make_run: MakeRun, tmp_path: Path) -> None:
    two_arms(make_run)
    for arm, coef in (("gr", 1e-3), ("none", 0.0)):
        optimizer = {**PPO["optimizer"], "gradient_penalty": {"coef": coef}}
        make_run(arm, columns={"episodes": [32, 64]}, config={"optimizer": optimizer})
    spent = {
        row.arm: (row.steps, row.backward) for row in build_report(load([tmp_path]), Choices(baseline="ppo")).costs
    }
    assert (spent["gr"], spent["none"]) == ((16.0, 32.0), (16.0, 16.0))


def test_nothing_is_said_where_nobody_votes(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("ppo", columns={"episodes": [32, 64]}, config=PPO)
    report = build_report(load([tmp_path]), Choices())
    assert [*report.costs] == []
    assert "## Cost" not in markdown(report)
    assert '<section id="cost">' not in render(report)


def test_epochs_that_a_bound_cut_are_counted_as_made() -> None:
    rows = pd.DataFrame({"update": [0, 1], "policy/epochs": [4, 1]})
    assert steps_of(rows, PPO) == 10.0
    assert steps_of(rows[["update"]], PPO) == 16.0
    assert steps_of(rows, {}) is None


def test_what_is_not_known_is_a_dash() -> None:
    assert cells(CostRow(arm="a", episodes=1234.0, votes=0.0, steps=None, backward=None)) == ["1,234", "0", "–", "–"]


def test_an_arm_that_lacks_a_number_in_one_run_has_none(make_run: MakeRun, tmp_path: Path) -> None:
    two_arms(make_run)
    make_run("ppo", 2, config=PPO)
    loaded = load([tmp_path])
    report = build_report(loaded, Choices(baseline="ppo"))
    assert costs(loaded, report.arms)[0].episodes is None
