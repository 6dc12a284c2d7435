"""A run made again is the same to the last bit, and a difference is found."""

import json
import sys
from pathlib import Path

import pytest

from safelab.app.cli import main
from safelab.app.commands.reproduce import checkpoints, same
from support.runs import run, small


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(small(tmp_path_factory.mktemp("reproduce"), "algorithm=safe", "updates=4"))[0].directory


def test_it_is_the_same(directory: Path, capsys) -> None:
    assert main(["reproduce", str(directory), "--trust"]) == 0
    assert "4 of 4 updates are the same to the last bit" in capsys.readouterr().out


def test_a_difference_in_the_last_digit_is_found(directory: Path, tmp_path: Path, capsys) -> None:
    import shutil

    other = tmp_path / "other"
    shutil.copytree(directory, other)
    rows = [json.loads(line) for line in (other / "metrics.jsonl").read_text().splitlines()]
    rows[2]["policy/loss"] *= 1 + 1e-12
    (other / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["reproduce", str(other), "--trust"]) == 1
    assert "update 2 differs: policy/loss" in capsys.readouterr().out
    assert main(["reproduce", str(other), "--trust", "--updates", "2"]) == 0
    assert main(["reproduce", str(other), "--trust", "--tolerance", "1e-9"]) == 0


def test_same_by_hand() -> None:
    assert same(float("nan"), float("nan"), 0.0)
    assert same("warmup", "warmup", 0.0)
    assert not same("warmup", "plateau", 1.0)
    assert not same(1.0, None, 1.0)
    assert same(100.0, 101.0, 0.01)
    assert not same(100.0, 101.1, 0.01)


def test_more_rows_than_there_are_is_one_message(directory: Path, capsys) -> None:
    assert main(["reproduce", str(directory), "--trust", "--updates", "9"]) == 2
    assert "must have the rows that are to be compared" in capsys.readouterr().err


def later(prompts: list[str], responses: list[str]) -> list[float]:
    """Fails from the batch on that ``FAILS_AT`` says."""
    CALLS.append(1)
    if len(CALLS) > FAILS_AT[0]:
        raise ValueError("the scorer went away")
    return [float(len(text)) for text in responses]


CALLS: list[int] = []
FAILS_AT = [99]


def test_a_run_that_fails_this_time_is_one_message(tmp_path: Path, capsys) -> None:
    sys.modules.setdefault("later_reward", sys.modules[__name__])
    made = run(small(tmp_path, "reward.name='later_reward:later'", "updates=3", "limit.minutes=60"))[0].directory
    CALLS.clear()
    FAILS_AT[0] = 2
    assert main(["reproduce", str(made), "--trust"]) == 1
    said = capsys.readouterr().out
    assert "this time it ended after 2 updates, which are the same" in said
    assert "the scorer went away" in said


def test_a_guard_that_goes_back_finds_its_checkpoints() -> None:
    kept = {"every": 2, "keep": 3, "best": "reward/mean"}
    assert checkpoints({"checkpoint": kept, "guard": {"name": "rollback"}}) == {**kept, "best": None}
    assert checkpoints({"checkpoint": kept, "guard": {"name": "stop"}}) == {"every": 0, "keep": 1, "best": None}
