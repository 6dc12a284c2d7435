"""``--where`` and ``--by``: which runs there are, and which of them are one arm."""

from collections.abc import Callable
from pathlib import Path

import pytest

from safelab.errors import DataError
from safelab.results.runs.load import load

MakeRun = Callable[..., Path]


@pytest.fixture
def runs(make_run: MakeRun, tmp_path: Path) -> Path:
    for seed in (0, 1):
        make_run("safe", seed, config={"critic": {"name": "double", "heads": 2}}, overrides=["algorithm=safe"])
        make_run(
            "safe,change=one_head",
            seed,
            config={"critic": {"name": "single"}},
            overrides=["algorithm=safe", "+change=one_head", "controller/gate=none"],
        )
    return tmp_path


def arms(runs: Path, **choices: list[str]) -> dict[str, list[int]]:
    return {name: [run.seed for run in found] for name, found in load([runs], **choices).arms.items()}


def test_a_group_is_its_name_and_an_override_is_found_with_or_without_plus(runs: Path) -> None:
    assert arms(runs, by=["critic"]) == {"double": [0, 1], "single": [0, 1]}
    assert arms(runs, by=["change"]) == {"one_head": [0, 1], "–": [0, 1]}
    assert arms(runs, by=["algorithm", "critic.heads"]) == {
        "safe,critic.heads=2": [0, 1],
        "safe,critic.heads=–": [0, 1],
    }
    assert arms(runs, by=["controller.gate"]) == {"none": [0, 1], "–": [0, 1]}


def test_two_methods_do_not_become_one_arm(runs: Path) -> None:
    with pytest.raises(DataError, match=r"makes one, safe, of safe and safe,change=one_head \(seed 0\)"):
        load([runs], by=["algorithm"])


def test_conditions_all_hold_and_patterns_match(runs: Path) -> None:
    assert arms(runs, conditions=["critic=double"]) == {"safe": [0, 1]}
    assert arms(runs, conditions=["seed=1", "critic=s*,double"]) == {"safe": [1], "safe,change=one_head": [1]}


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("critic", "--where must be KEY=VALUE"),
        ("critc=single", "did you mean 'critic'"),
        ("critic=tripel", "leaves no run; critic has the values double, single"),
    ],
)
def test_a_wrong_condition_is_one_message(runs: Path, condition: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load([runs], conditions=[condition])


def test_a_wrong_key_is_one_message(runs: Path) -> None:
    with pytest.raises(DataError, match="--by must name a key that a run has, got 'critci'; did you mean 'critic'"):
        load([runs], by=["critci"])
