"""What a run's inputs are known by: which changes are seen, which are none, and what is told."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from safelab.errors import ConfigError, DataError
from safelab.runlog import fingerprints
from safelab.runlog.fingerprints import changed_inputs, differences, taken, text_of
from safelab.runlog.schema import INPUTS_FILE, METRICS_FILE


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A model, prompts, a reward with a helper in a package, and a second reward in a list."""
    model = tmp_path / "m"
    model.mkdir()
    save_file({"w": torch.arange(6.0)}, model / "model.safetensors")
    (model / "config.json").write_text("{}")
    (model / "README.md").write_text("a model")
    (tmp_path / "p.txt").write_text("one\n")
    mine = tmp_path / "mine_here"
    (mine / "deep").mkdir(parents=True)
    (mine / "__init__.py").write_text("")
    (mine / "deep" / "__init__.py").write_text("")
    (mine / "rewards.py").write_text("import json, torch\nfrom .deep.words import WORDS\ndef f(p, r): ...\n")
    (mine / "deep" / "words.py").write_text("def late():\n    import mine_late\nWORDS = ['a']\n")
    (mine / "other.py").write_text("")
    (tmp_path / "mine_late.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    return {
        "policy": {"name": "causal_lm", "path": str(model), "dtype": "float32"},
        "data": {"name": "text", "path": str(tmp_path / "p.txt")},
        "reward": {"name": "ensemble", "members": [{"name": "tiny_rm"}, {"name": "mine_here.rewards:f"}]},
        "tracker": {"name": "mine_here.other:T"},
        "resume": {"mode": "auto", "allow": []},
        "output_dir": "outputs",
    }


def test_every_input_is_there_and_what_a_run_only_records_with_is_not(config: dict[str, Any]) -> None:
    found = taken(config)
    assert {key: sorted(names) for key, names in found.items()} == {
        "policy.path": ["config.json", "model.safetensors"],
        "data.path": ["p.txt"],
        "reward.members.1.name": [
            "mine_here",
            "mine_here.deep",
            "mine_here.deep.words",
            "mine_here.rewards",
            "mine_late",
        ],
    }
    assert "mine_late" not in sys.modules, "nothing is imported to find out"


def kept(folder: Path, config: dict[str, Any]) -> None:
    (folder / INPUTS_FILE).write_text(text_of(taken(config)))
    (folder / METRICS_FILE).write_text('{"update": 0}\n')


def other_weights(folder: Path) -> None:
    path = folder / "m" / "model.safetensors"
    save_file({name: value + 1e-6 for name, value in load_file(path).items()}, path)


CHANGES = {
    "policy.path: model.safetensors": other_weights,
    "policy.path: tokenizer.json": lambda folder: (folder / "m" / "tokenizer.json").write_text("{}"),
    "policy.path: config.json": lambda folder: (folder / "m" / "config.json").unlink(),
    "data.path: p.txt": lambda folder: (folder / "p.txt").write_text("two\n"),
    "data.path: p.txt (gone)": lambda folder: (folder / "p.txt").unlink(),
    "reward.members.1.name: mine_here.rewards": lambda folder: (folder / "mine_here" / "rewards.py").write_text(
        "import json, torch\nfrom .deep.words import WORDS\ndef f(p, r): return 1\n"
    ),
    "reward.members.1.name: mine_here.deep.words": lambda folder: (folder / "mine_here/deep/words.py").write_text(
        "import mine_late\n"
    ),
    "reward.members.1.name: mine_late": lambda folder: (folder / "mine_late.py").write_text("x = 2\n"),
}


@pytest.mark.parametrize("said", CHANGES)
def test_a_change_is_refused_with_its_name_unless_it_is_allowed(
    said: str, config: dict[str, Any], tmp_path: Path
) -> None:
    kept(tmp_path, config)
    assert changed_inputs(tmp_path, config) == {}
    CHANGES[said](tmp_path)
    key, name = said.split(": ")
    with pytest.raises(ConfigError) as refused:
        changed_inputs(tmp_path, config)
    assert f"these have changed ({said}); put them back" in str(refused.value)
    assert f"'resume.allow=[{key}]'" in str(refused.value)
    for allowed in (key, key.split(".")[0]):
        assert changed_inputs(tmp_path, {**config, "resume": {"mode": "auto", "allow": [allowed]}}) == {key: [name]}


def test_what_is_no_input_makes_no_difference(config: dict[str, Any], tmp_path: Path) -> None:
    kept(tmp_path, config)
    (tmp_path / "m" / "README.md").write_text("another word")
    (tmp_path / "mine_here" / "other.py").write_text("x = 3")
    os.utime(tmp_path / "p.txt")
    assert changed_inputs(tmp_path, config) == {}


def test_of_a_large_file_every_change_of_all_values_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "WHOLE", 1000)
    path = tmp_path / "w.safetensors"
    values = torch.randn(2_000_000, generator=torch.Generator().manual_seed(0))
    found = set()
    blocks = {"start": slice(0, 9), "end": slice(-9, None), "one in three hundred": slice(1_000_000, 1_007_000)}
    for changed in (slice(0, 0), slice(None), *blocks.values()):
        other = values.clone()
        other[changed] += 1e-3
        save_file({"w": other}, path)
        found.add(taken({"policy": {"path": str(path)}})["policy.path"][path.name])
    assert len(found) == 5
    assert all(one.startswith("sampled:") for one in found)


def test_a_branch_of_the_hub_that_one_cache_lacks_is_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    config = {"policy": {"path": "org/model"}}
    refs = tmp_path / "models--org--model" / "refs"
    assert taken(config) == {}
    refs.mkdir(parents=True)
    (refs / "main").write_text("abc")
    there = taken(config)
    assert there == {"policy.path": {"hub:main": "abc"}}
    assert differences(there, {}) == {}
    (refs / "other").write_text("def")
    assert differences(there, taken(config)) == {}
    (refs / "main").write_text("xyz")
    assert differences(there, taken(config)) == {"policy.path": ["hub:main"]}


def test_a_run_without_fingerprints_goes_on_and_damaged_ones_are_told(config: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / METRICS_FILE).write_text('{"update": 0}\n')
    assert changed_inputs(tmp_path, config) == {}
    for text in ("", "[]", '{"data.path": 3}', "\x00"):
        (tmp_path / INPUTS_FILE).write_text(text)
        with pytest.raises(DataError, match=r"inputs\.json must hold the run's fingerprints, and cannot be read"):
            changed_inputs(tmp_path, config)
    assert json.loads(text_of({"a": {"b": "c"}})) == {"a": {"b": "c"}}


def test_the_base_below_an_adapter_is_an_input_too(config: dict[str, Any], tmp_path: Path) -> None:
    for name, base in (("upper", tmp_path / "lower"), ("lower", tmp_path / "m"), ("round", tmp_path / "round")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    adapted = {"policy": {"name": "causal_lm", "path": str(tmp_path / "upper")}}
    then = taken(adapted)
    save_file({"w": torch.arange(6.0) + 1}, tmp_path / "m" / "model.safetensors")
    assert differences(then, taken(adapted)) == {"policy.path": ["model.safetensors of its base of its base"]}
    assert taken({"policy": {"path": str(tmp_path / "round")}})  # a circle ends
    (tmp_path / "lower" / "adapter_config.json").write_text("[")
    assert "policy.path" in differences(then, taken(adapted))
