from pathlib import Path

import pytest
import yaml

from safelab.app.config.flat import algorithm_presets, as_yaml, flatten

FOLDER = Path(__file__).parents[2] / "configs"


@pytest.fixture(scope="module")
def presets() -> dict[str, str]:
    return algorithm_presets()


def test_keys_are_dotted_and_sorted_and_values_are_json() -> None:
    config = {"b": {"y": 1e-05, "x": None}, "a": [1, "two"], "c": {}}
    assert flatten(config) == {"a": '[1, "two"]', "b.x": "null", "b.y": "1e-05", "c": "{}"}


def test_the_text_is_yaml_of_the_same_keys() -> None:
    assert yaml.safe_load(as_yaml({"b": {"x": True}, "a": "t: 1"})) == {"a": "t: 1", "b.x": True}


def test_the_committed_presets_are_those_that_exist(presets: dict[str, str]) -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == presets.keys()
    assert {"safe", "safe_released", "ppo", "ppo_released", "ppo_matched"} <= presets.keys()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_preset_is_as_committed(path: Path, presets: dict[str, str]) -> None:
    remedy = "if the change is meant: .venv/bin/python -m scripts.tools.update_flat_configs"
    assert presets[path.stem].splitlines() == path.read_text(encoding="utf-8").splitlines(), remedy
