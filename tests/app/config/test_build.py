from dataclasses import fields
from pathlib import Path

import pytest
import torch

from safelab.app.config.build import GROUPS, context_for, pick_device, problems, validate
from safelab.errors import ConfigError
from safelab.training.components import Components
from support.pairs import offline
from support.runs import algorithms, parts_of, small


@pytest.mark.parametrize("algorithm", algorithms(offline=False) + algorithms(offline=True))
def test_every_algorithm_is_built_on_the_cpu(tmp_path: Path, algorithm: str) -> None:
    from_pairs = algorithm in algorithms(offline=True)
    parts = parts_of((offline if from_pairs else small)(tmp_path, f"algorithm={algorithm}"))
    absent = {field.name for field in fields(Components) if getattr(parts, field.name) is None}
    assert absent == (set() if from_pairs else {"pairs", "preference"})
    assert parts.policy.module is not None
    assert not (tmp_path / "outputs").exists()


def test_a_sound_configuration_has_no_problems(tmp_path: Path) -> None:
    config = small(tmp_path)
    assert problems(config) == []
    validate(config)


def test_each_group_is_missed(tmp_path: Path) -> None:
    config = small(tmp_path)
    for group in GROUPS:
        without = {key: value for key, value in config.items() if key != group}
        assert problems(without) == [f"{group} must be one of its options, got None: add {group}=..."]


def test_each_of_the_runs_own_keys_is_missed(tmp_path: Path) -> None:
    config = small(tmp_path)
    for key in ("seed", "updates", "output_dir", "device", "threads", "checkpoint", "samples"):
        without = {name: value for name, value in config.items() if name != key}
        assert problems(without) == [f"{key} must be given, it has no default"]


def test_keys_of_detectors_and_world_are_checked(tmp_path: Path) -> None:
    config = small(tmp_path)
    told = problems({**config, "detectors": {**config["detectors"], "spike": {}}})
    assert [line.split()[0] for line in told] == ["detectors.spike"]
    told = problems({**config, "world": {**config["world"], "seed": -1}})
    assert told == ["world.seed must be >= 0, got -1"]
    assert problems({**config, "world": 3}) == ["world must be a group of keys, got 3"]


def test_a_fault_of_the_world_is_told_once_and_not_again_by_those_who_read_it(tmp_path: Path) -> None:
    from support.runs import resolved

    told = problems(resolved("world.seed=-1"))
    assert told == ["world.seed must be >= 0, got -1"]


def test_parts_are_asked_to_fit_only_when_each_is_sound(tmp_path: Path) -> None:
    config = small(tmp_path, "algorithm=ppo")
    alone = {**config, "critic": {**config["critic"], "read_at": "prompt_end"}}
    assert [line.split()[0] for line in problems(alone)] == ["critic.read_at"]
    both = {**alone, "seed": -1}
    assert problems(both) == ["seed must be >= 0, got -1"]


def test_a_component_of_the_users_own_is_found_by_its_full_name(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "my_advantages.py").write_text(
        "from safelab.contracts import AdvantageEstimator\n"
        "class Flat(AdvantageEstimator):\n"
        "    limit: float\n"
        "    def estimate(self, evidence):\n"
        "        raise NotImplementedError\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    config = small(tmp_path)
    assert parts_of({**config, "advantage": {"name": "my_advantages:Flat", "limit": 2.5}}).advantage.limit == 2.5
    (line,) = problems({**config, "advantage": {"name": "my_advantages:Flat", "limit": "x"}})
    assert line.startswith("advantage.limit must be a valid number, got 'x'")


def test_the_cache_is_where_the_environment_says(tmp_path: Path, monkeypatch) -> None:
    def place() -> Path:
        return context_for({"seed": 3, "device": "cpu"}, print).cache

    monkeypatch.setenv("SAFELAB_CACHE", str(tmp_path / "own"))
    assert place() == tmp_path / "own"
    monkeypatch.delenv("SAFELAB_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert place() == tmp_path / "xdg" / "safelab"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert place() == tmp_path / ".cache" / "safelab"


@pytest.mark.parametrize(("gpus", "device"), [(0, "cpu"), (1, "cuda")])
def test_auto_is_a_gpu_where_there_is_one(monkeypatch, gpus: int, device: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    assert pick_device("auto") == torch.device(device)


def test_apples_gpu_is_taken_only_where_it_is_asked_for(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device("auto") == torch.device("cpu")
    assert pick_device("mps") == torch.device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="torch finds no Apple GPU"):
        pick_device("mps")


def test_a_device_that_is_not_there_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ConfigError, match="got 'cuda:2': 2 GPUs are visible"):
        pick_device("cuda:2")
