"""Five rates for each method, and what was chosen lies in the sweep."""

from pathlib import Path

import pytest
import yaml

from scripts.studies import stability

CONF = Path(__file__).parents[3] / "conf"


def test_each_method_has_its_rates_and_is_a_preset() -> None:
    grids = stability.grid(list(stability.METHODS))
    assert all(len(settings) == len(stability.LEARNING_RATES) for settings in grids.values())
    assert all((CONF / "algorithm" / f"{method}.yaml").is_file() for method in grids)


def test_the_arms_of_the_sweep_come_from_the_grid() -> None:
    arms = yaml.safe_load((CONF / "sweep" / "stability.yaml").read_text())["arms"]
    # The table of today is of GRPO with two epochs.
    arms["grpo"].pop("optimizer.epochs", None)
    grids = stability.grid(list(arms))
    assert [name for name, settings in grids.items() if arms[name] not in settings.values()] == []


def test_rates_of_methods_by_votes_are_as_many_and_ten_times_as_large() -> None:
    found = [setting["optimizer.lr"] for setting in stability.grid(["zpg"])["zpg"].values()]
    assert found == pytest.approx([10 * rate for rate in stability.LEARNING_RATES])
    assert not any("optimizer.critic_lr" in setting for setting in stability.grid(["zpg"])["zpg"].values())


def test_it_writes_no_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(stability, "tune", lambda *arguments: asked.append(arguments))
    stability.main(["--methods", "ppo", "--overrides", "updates=5"])
    ((grid, experiment, flags),) = asked
    assert (grid.keys(), experiment) == ({"ppo"}, "stability_tuning")
    assert flags.overrides == ["updates=5", "world=small", "samples.every=0"]
    stability.main(["--methods", "ppo", "--world", "exact"])
    assert (asked[1][1], asked[1][2].overrides) == ("stability_exact_tuning", ["world=exact", "samples.every=0"])
