"""docs/extending.md is true: its blocks, written to disk as they stand, are tested and trained with."""

import ast
import re
import shlex
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from safelab.app.cli import main
from safelab.app.config.build import problems
from safelab.plugins import build_option
from support.models import context, model_directory
from support.runs import parts_of, resolved, trained

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
BLOCK = re.compile(r"^`([\w./]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILES = dict(BLOCK.findall(PAGE.read_text()))
MODULES = sorted(Path(name).stem for name in FILES if name.endswith(".py"))

CHOICES = ("controller/gate=reward_brake", "critic=mean_of_heads", "objective=soft_gate",
           "reward=brevity", "data=sums", "evaluator=exact")  # fmt: skip


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "my_parts"]:
        del sys.modules[name]


def config(package: Path, *overrides: str) -> dict[str, Any]:
    """A run of seconds with every example in its place."""
    return resolved(
        f"hydra.searchpath=[file://{package}/my_conf]",
        *CHOICES,
        "policy=local",
        f"policy.path={model_directory()}",
        "rollout.batch_size=8",
        "rollout.max_new_tokens=6",
        "updates=3",
        *overrides,
    )


def test_there_are_six_parts_with_three_files_each() -> None:
    assert len(FILES) == 18
    assert {name.split("/")[0] for name in FILES} == {"my_conf", "my_parts"}


def test_the_examples_train(package: Path) -> None:
    parts, state, rows = trained(config(package))
    assert len(rows) == 3
    assert {row["controller/gate"] for row in rows} <= {1.0, 2.0}
    assert state.controller.model_dump()["gate"]["newest"] == rows[-1]["reward/mean"]
    assert rows[0]["critic/head_gap"] > 0
    assert 0 < rows[1]["objective/slope"] < 1
    assert 0 <= rows[0]["reward/mean"] <= 1
    assert parts.data.prompts(0, 1)[0].startswith("What is ")
    assert all(0 <= row["reward/gold_mean"] <= 1 for row in rows)


def test_the_critics_weights_depend_on_the_seed_alone(package: Path) -> None:
    def weight(*overrides: str) -> Tensor:
        torch.rand(3)
        return parts_of(config(package, *overrides)).critic.module.weight

    assert torch.equal(weight(), weight())
    assert not torch.equal(weight(), weight("seed=1"))


COMMANDS = re.findall(r"^    safelab (train .*)$", PAGE.read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_page_trains_as_it_stands(
    command: str, package: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two updates of few responses; a policy of the tests stands in for the world's, which takes a minute to make."""
    monkeypatch.chdir(package)
    (package / "sums.jsonl").write_text('{"prompt": "What is 2 plus 3?", "answer": 5}\n')
    own = "data=" in command
    fast = [
        "world=small",
        f"policy.path={model_directory()}",
        "updates=2",
        "rollout.batch_size=4",
        "rollout.max_new_tokens=4",
    ]
    toy = [] if "reward=" in command else ["reward=function", "reward.name=my_parts.rewards:politeness"]
    assert main([*shlex.split(command), "policy=local", *fast, *toy, *([] if own else ["evaluator=none"])]) == 0
    assert "finished: " in capsys.readouterr().out


def test_the_reward_that_is_a_function_scores(package: Path) -> None:
    reward = build_option("reward", {"name": "my_parts.rewards:politeness"}, context())
    assert reward.score(["a"], ["Please."], [True]) == [1.0]


def test_the_faults_of_all_of_them_come_together(package: Path) -> None:
    wrong = config(package, "controller.gate.strength=0.5", "objective.steepness=steep", "reward.words=0")
    assert sorted(problems(wrong)) == [
        "controller.gate.strength must be >= 1, got 0.5",
        "objective.steepness must be a valid number, got 'steep'",
        "reward.words must be >= 1, got 0",
    ]


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("test_")])
def test_the_examples_own_tests_pass(package: Path, module: str) -> None:
    found = vars(import_module(f"my_parts.{module}"))
    tests = [value for name, value in found.items() if name.startswith("test_")]
    assert tests
    for test in tests:
        test()


@pytest.mark.parametrize("name", sorted(name for name in FILES if name.endswith(".py")))
def test_the_examples_are_typed_and_import_nothing_private(name: str) -> None:
    nodes = list(ast.walk(ast.parse(FILES[name])))
    for function in [node for node in nodes if isinstance(node, ast.FunctionDef)]:
        arguments = [argument for argument in function.args.args if argument.arg != "self"]
        assert function.returns is not None or function.name == "__init__", function.name
        assert all(argument.annotation for argument in arguments), function.name
    imported = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    assert not [module for module in imported if "._" in module]
    assert not [module for module in imported if module.startswith("safelab.parts")]


def test_every_file_of_an_own_package_and_of_this_repository_is_named() -> None:
    page = PAGE.read_text()
    for owed in ("conf/<group>/<option>.yaml", "src/safelab/parts/<group>/<module>.py",
                 "tests/parts/<group>/test_<module>.py", "tests/configs/<name>.yaml", "conf/algorithm/<name>.yaml",
                 "metrics.md", "architecture.md"):  # fmt: skip
        assert owed in page
