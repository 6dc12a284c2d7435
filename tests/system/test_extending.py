"""docs/extending.md is true: its blocks, written to disk as they stand, are tested and trained with."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from support.runs import CONF, small, trained

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
BLOCK = re.compile(r"^`([\w./]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files = BLOCK.findall(PAGE.read_text())
    assert len(files) == 9
    for name, text in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_the_examples_train(package: Path) -> None:
    base = small(package, "algorithm=safe", "updates=2")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        overrides = [
            "critic=mean_of_heads",
            "controller/threshold=ramp",
            "objective=soft_gate",
            f"hydra.searchpath=[file://{package}/my_conf]",
        ]
        config = compose("config", overrides=["algorithm=safe", "policy=local", "policy.path=unused", *overrides])
    both = OmegaConf.to_container(config, resolve=True)
    assert isinstance(both, dict)
    controller = {**base["controller"], "threshold": both["controller"]["threshold"]}
    mine = {"critic": both["critic"], "objective": both["objective"], "controller": controller}
    _, _, rows = trained({**base, **mine})
    # start 0.1, 0.003 a step, times 1.5 in the warm-up phase
    assert [row["controller/threshold"] for row in rows] == pytest.approx([0.1545, 0.159])
    assert rows[0]["critic/head_gap"] >= 0
    assert 0 < rows[1]["objective/slope"] < 1


def test_the_examples_own_tests_pass(package: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "my_parts"]
    done = subprocess.run(
        command, cwd=package, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(package)}
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
