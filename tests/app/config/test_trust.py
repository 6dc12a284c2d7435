"""What of a stranger's run would run is told before anything of it is imported."""

import sys
from pathlib import Path

import pytest
import yaml

from safelab.app.cli import main
from safelab.app.config.trust import foreign
from support.runs import resolved, run, small


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(small(tmp_path_factory.mktemp("trust"), "updates=1"))[0].directory


@pytest.fixture
def strangers(directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose reward is a module of the current folder, which leaves a mark where it is imported."""
    (tmp_path / "strangers_module.py").write_text(
        "open('mark', 'w').close()\ndef f(prompts, responses): return [0.0]\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("config.yaml", "run.json", "metrics.jsonl"):
        (tmp_path / name).write_bytes((directory / name).read_bytes())
    (tmp_path / "checkpoints").symlink_to(directory / "checkpoints")
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    config["reward"]["name"] = "strangers_module:f"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


@pytest.mark.parametrize("command", [["reproduce"], ["evaluate"], ["generate", "a"]], ids=lambda words: words[0])
def test_code_of_a_stranger_is_named_and_not_imported(command: list[str], strangers: Path, capsys) -> None:
    assert main([command[0], str(strangers), *command[1:]]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "reward.name='strangers_module:f' (imports strangers_module, from the current folder" in line
    assert line.endswith("repeat the command with --trust")
    assert not (strangers / "mark").exists()
    assert "strangers_module" not in sys.modules


def test_with_trust_it_runs(strangers: Path, capsys) -> None:
    assert main(["generate", str(strangers), "--trust", "a", "b"]) == 0
    assert (strangers / "mark").exists()
    del sys.modules["strangers_module"]


def test_the_projects_own_options_need_none() -> None:
    assert list(foreign(resolved("algorithm=safe_released"))) == []


def test_every_place_is_looked_at() -> None:
    config = {
        "reward": {
            "name": "ensemble",
            "members": [
                {"name": "remote", "url": "https://example.org/score"},
                {"name": "sequence_classifier", "path": "someone/rm", "trust_remote_code": True},
            ],
        },
        "controller": {"name": "stack", "gate": {"name": "evil.gates:Gate"}},
        "policy": {"name": "causal_lm", "path": "a:b", "trust_remote_code": False},
    }
    assert [text.partition(" ")[0] for text in foreign(config)] == [
        "reward.members.0.url='https://example.org/score'",
        "reward.members.1.trust_remote_code=True",
        "controller.gate.name='evil.gates:Gate'",
    ]
