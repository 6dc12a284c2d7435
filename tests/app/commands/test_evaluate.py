"""``safelab evaluate`` and ``safelab generate`` on a run of the tests' own."""

import json
from pathlib import Path

import pytest

from safelab.app.cli import main
from support.runs import run, small


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluate")
    return run(small(folder, "algorithm=ppo_matched"))[0].directory


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "held_out.txt"
    path.write_text("a a\nb c\n")
    return path


def test_the_table_and_the_file_say_the_same(directory: Path, prompts: Path, capsys) -> None:
    assert (
        main(["evaluate", str(directory), "--trust", "--prompts", str(prompts), "--count", "16", "--samples", "1"]) == 0
    )
    shown = capsys.readouterr().out
    saved = json.loads((directory / "evaluation.json").read_text())
    assert shown.splitlines()[-1] == str(directory / "evaluation.json")
    assert saved["prompts"] == 2
    assert sorted(sample["prompt"] for sample in saved["samples"]) == ["a a", "b c"]
    assert f"{saved['policy']['reward']['mean']:.3f}" in shown
    wins = sum(sample["policy_reward"] > sample["reference_reward"] for sample in saved["samples"])
    assert saved["wins"] == wins
    assert saved["win_rate"]["mean"] == (wins + saved["ties"] / 2) / 2


def test_data_without_held_out_prompts_is_refused(directory: Path, capsys) -> None:
    assert main(["evaluate", str(directory), "--trust"]) == 2
    assert "data=text of this run kept no prompts back; give some with --prompts FILE" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["evaluate", "generate"])
def test_a_checkpoint_that_is_not_there_names_those_that_are(
    command: str, directory: Path, prompts: Path, capsys
) -> None:
    extra = ["--prompts", str(prompts)] if command == "evaluate" else ["a"]
    assert main([command, str(directory), "--trust", *extra, "--checkpoint", "update_9"]) == 2
    assert "got update_9; there are: update_000003" in capsys.readouterr().err


def test_generate_writes_what_the_seed_says(directory: Path, capsys) -> None:
    def written(*words: str) -> str:
        assert main(["generate", str(directory), "--trust", "a b", "c", "--count", "4", *words]) == 0
        return capsys.readouterr().out

    first = written()
    assert written() == first
    assert written("--seed", "1") != first


def test_what_is_no_run_is_refused(tmp_path: Path, capsys) -> None:
    assert main(["generate", str(tmp_path), "--trust", "a"]) == 2
    assert "must be a run directory" in capsys.readouterr().err
