"""Six settings for each method, each a configuration that composes; what was chosen lies in the sweep."""

from pathlib import Path

import pytest
import yaml

from safelab.app.config.compose import compose, opened
from scripts.studies import baselines

SWEEP = Path(__file__).parents[3] / "conf" / "sweep" / "baselines.yaml"


def test_each_method_has_its_grid() -> None:
    grids = baselines.grid(list(baselines.PENALTIES))
    assert all(len(settings) == 6 for settings in grids.values())
    # Twice the strength is twice the coefficient, and half the target.
    assert baselines.value("controller.coefficient.value", 0.1, 5.0) == 0.5
    assert baselines.value("controller.coefficient.target", 6.0, 5.0) == 1.2


def test_every_setting_composes() -> None:
    with opened() as hydra:
        for settings in baselines.grid(list(baselines.PENALTIES)).values():
            *_, last = settings.values()
            compose(hydra, [f"{key}={value}" for key, value in last.items()])


def test_the_arms_of_the_sweep_come_from_the_grid() -> None:
    arms = yaml.safe_load(SWEEP.read_text())["arms"]
    grids = baselines.grid(list(baselines.PENALTIES))
    assert {name for name in arms if name in grids} == grids.keys()
    for name, settings in grids.items():
        assert arms[name] in settings.values(), name


def test_it_tunes_the_methods_that_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(baselines, "tune", lambda *arguments: asked.append(arguments))
    baselines.main(["--methods", "ppo", "safe", "--seeds", "7"])
    ((grid, experiment, flags),) = asked
    assert (grid.keys(), experiment, flags.seeds) == ({"ppo", "safe"}, "baselines_tuning", "7")
