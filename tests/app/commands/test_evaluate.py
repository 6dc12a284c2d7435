"""``safelab evaluate`` and ``safelab generate`` on a run of the tests' own."""

import io
import json
import sys
from pathlib import Path

import pytest

from safelab.app.cli import main
from safelab.app.commands.evaluate import show, summarise
from safelab.training.probes.evaluation import Evaluation, Written
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
    assert 0 <= saved["win_rate"]["low"] < saved["win_rate"]["high"] <= 1


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


def test_a_rate_of_wins_stays_a_rate() -> None:
    def side(rewards: tuple[float, ...]) -> Written:
        texts = ("a",) * len(rewards)
        ended = (True,) * len(rewards)
        return Written(
            prompts=texts, responses=texts, reward_seq=rewards, gold_seq=None, length_seq=(1,) * len(rewards),
            ended_seq=ended, kl_seq=(0.0,) * len(rewards),
        )  # fmt: skip

    found = summarise(Evaluation(policy=side((1.0,) * 15 + (0.0,)), reference=side((0.0,) * 16)))
    assert (found["wins"], found["ties"]) == (15, 1)
    # (p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n) with p = 15.5 / 16 and z = 1.959964
    assert (found["win_rate"]["low"], found["win_rate"]["high"]) == pytest.approx((0.759264, 0.996729), abs=1e-6)


def test_line_breaks_are_seen_and_control_characters_are_not_sent(capsys) -> None:
    sample = {"prompts": ("p\r\nq",), "reward_seq": (0.0,), "length_seq": (2,), "ended_seq": (True,), "kl_seq": (0.1,)}
    mine = Written(**sample, responses=("one\n\ntwo\x1b[31m",), gold_seq=None)
    found = Evaluation(policy=mine, reference=mine)
    show("run", "best", summarise(found), found, 1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3] == "p↵q"
    assert lines[-2] == "policy 0.000: one↵↵two\N{REPLACEMENT CHARACTER}[31m"


@pytest.mark.parametrize(
    ("line", "said"),
    [(b"\xff\n", "standard input, line 2 must be text of whole characters"), (b"\n", None)],
)
def test_prompts_of_standard_input_are_utf_8(
    directory: Path, monkeypatch, capsys, line: bytes, said: str | None
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbfa b\r\n" + line), encoding="ascii"))
    assert main(["generate", "--trust", str(directory)]) == (0 if said is None else 2)
    assert (said or "") in capsys.readouterr().err


def test_generate_writes_what_the_seed_says(directory: Path, capsys) -> None:
    def written(*words: str) -> str:
        assert main(["generate", str(directory), "--trust", "a b", "c", "--count", "4", *words]) == 0
        return capsys.readouterr().out

    first = written()
    assert written() == first
    assert written("--seed", "1") != first


def test_answers_are_told_apart_from_prompts_and_the_checkpoint_is_named(directory: Path, capsys) -> None:
    assert main(["generate", str(directory), "--trust", "a b", "c\nd", "--count", "2"]) == 0
    said = capsys.readouterr()
    assert said.err.splitlines()[-1] == f"{directory}, update_000003: temperature 1, seed 0"
    lines = said.out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["prompt", "answer 1", "answer 2", ""] * 2
    assert lines[0] == "prompt: a b"
    assert lines[4] == "prompt: c↵d"


def test_greedy_answers_are_what_a_low_temperature_draws_and_depend_on_no_seed(directory: Path, capsys) -> None:
    def written(*words: str) -> str:
        assert main(["generate", str(directory), "--trust", "a b", "c d e", *words]) == 0
        return capsys.readouterr().out

    greedy = written("--greedy")
    assert written("--greedy", "--seed", "5") == greedy
    assert written("--temperature", "0.001", "--seed", "3") == greedy
    assert written("--temperature", "50") != greedy


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--greedy", "--temperature", "1"], "--greedy must stand without --temperature"),
        (["--temperature", "0"], "must be a number above 0, got '0'; --greedy takes the likeliest"),
        (["--temperature", "nan"], "must be a number above 0, got 'nan'"),
    ],
)
def test_a_wrong_way_of_sampling_is_refused(directory: Path, words: list[str], said: str, capsys) -> None:
    assert main(["generate", str(directory), "--trust", "a", *words]) == 2
    assert said in capsys.readouterr().err


class Terminal(io.StringIO):
    """Standard input as a person types it."""

    def isatty(self) -> bool:
        return True


def test_a_person_is_asked_until_an_empty_line_and_a_pipe_is_read_to_its_end(
    directory: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("a b\nc\n\nd\n"))
    assert main(["generate", "--trust", str(directory)]) == 0
    said = capsys.readouterr()
    assert [line for line in said.out.splitlines() if line.startswith("prompt")] == ["prompt: a b", "prompt: c"]
    assert said.err.count("> ") == 3
    monkeypatch.setattr(sys, "stdin", io.StringIO("a b\n\nd\n"))
    assert main(["generate", "--trust", str(directory)]) == 0
    said = capsys.readouterr()
    assert [line for line in said.out.splitlines() if line.startswith("prompt")] == ["prompt: a b", "prompt: d"]
    assert "> " not in said.err


def test_what_is_no_run_is_refused(tmp_path: Path, capsys) -> None:
    assert main(["generate", str(tmp_path), "--trust", "a"]) == 2
    assert "must be a run directory" in capsys.readouterr().err
