"""Every published preset trains two updates on shrunk models, through the script that does it in full size."""

from pathlib import Path

import pytest
import yaml

from safelab.app.dry_run.shapes import SHAPES
from scripts.studies import published_shapes, standins


def test_the_presets_are_the_published_ones_and_their_models_and_data_are_known() -> None:
    names = published_shapes.presets()
    assert len(names) >= 6
    for name in names:
        config = published_shapes.recipe(name)
        assert config["policy"]["path"] in SHAPES
        assert config["data"]["path"] in standins.FORMS


@pytest.mark.parametrize("name", published_shapes.presets())
def test_two_updates_on_shrunk_models(name: str, tmp_path: Path) -> None:
    few = ["rollout.max_new_tokens=4", "policy.dtype=float32", "threads=1"]
    outcome = published_shapes.run(name, tmp_path, batch=4, further=few, small=True)
    assert (outcome.rows, outcome.finite) == (2, 2)
    assert 10_000 < outcome.parameters < 200_000
    assert list(tmp_path.glob("runs/**/metrics.jsonl")), "it ran where it was told to"


def test_a_value_network_starts_from_the_random_reward_model(tmp_path: Path) -> None:
    few = ["rollout.max_new_tokens=4", "threads=1"]
    published_shapes.run("trl_tldr_1b", tmp_path, batch=4, further=few, small=True)
    (config,) = tmp_path.glob("runs/**/config.yaml")
    critic = yaml.safe_load(config.read_text())["critic"]
    assert (critic["name"], critic["path"]) == ("value_model", str(tmp_path / "reward"))


def test_the_command_says_a_line_for_each_and_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    asked = ["trl_imdb_gpt2", "--small", "--folder", str(tmp_path), "--overrides", "rollout.max_new_tokens=2"]
    published_shapes.main(asked)
    assert capsys.readouterr().out.splitlines()[-1].endswith("2 of 2 rows finite")
    assert [*tmp_path.iterdir()] == []


def test_a_row_with_a_number_that_is_none_is_not_finite() -> None:
    row = {"reward/mean": 1.0, "reward/gold_mean": None, "controller/phase": "none"}
    assert published_shapes.finite(row)
    assert not published_shapes.finite({**row, "policy/loss": "NaN"})
    assert not published_shapes.finite({**row, "policy/loss": "-Infinity"})
