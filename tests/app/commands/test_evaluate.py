"""``safelab evaluate`` and ``safelab generate`` on a run of the tests' own."""

import io
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from safelab.app.cli import main
from safelab.app.commands.evaluate import held_out, show, summarise
from safelab.errors import ConfigError
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


def short(prompts: Sequence[str], responses: Sequence[str]) -> list[float]:
    """A gold score that the reward does not see: the fewer words the better."""
    return [-float(len(response.split())) for response in responses]


@pytest.fixture
def with_gold(directory: Path, tmp_path: Path) -> Path:
    """The run with an evaluator, as if it had been trained with one."""
    copied = Path(shutil.copytree(directory, tmp_path / "run"))
    config = yaml.safe_load((copied / "config.yaml").read_text())
    config["evaluator"] = {"name": "reward", "of": {"name": "app.commands.test_evaluate:short"}}
    (copied / "config.yaml").write_text(yaml.safe_dump(config))
    return copied


def test_win_rates_over_the_start_and_over_the_datas_answers(with_gold: Path, tmp_path: Path, capsys) -> None:
    # Answers as data sets of summaries write them: a space before, the end token behind.
    held = [{"prompt": "a a", "summary": " good good<end> <end>\n"}, {"prompt": "b c", "summary": "a a a a a a a a b"}]
    (tmp_path / "held.jsonl").write_text("".join(json.dumps(row) + "\n" for row in held))
    asked = ["evaluate", str(with_gold), "--trust", "--prompts", str(tmp_path / "held.jsonl"), "--answers", "summary"]
    assert main(asked) == 0
    shown = capsys.readouterr().out
    saved = json.loads((with_gold / "evaluation.json").read_text())
    rows = {row["prompt"]: row for row in saved["samples"]}
    assert (rows["a a"]["answers"], rows["a a"]["answers_reward"], rows["a a"]["answers_gold"]) == (" good good", 1, -2)
    assert (rows["b c"]["answers_reward"], rows["b c"]["answers_gold"]) == (0, -9)

    def rate(left: str, right: str) -> float:
        pairs = [(row[left], row[right]) for row in rows.values()]
        return sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs)

    assert saved["gold_win_rate"]["mean"] == rate("policy_gold", "reference_gold")
    for side in ("policy", "reference"):
        assert saved[side]["answers_win_rate"]["mean"] == rate(f"{side}_reward", "answers_reward")
        assert saved[side]["answers_gold_win_rate"]["mean"] == rate(f"{side}_gold", "answers_gold")
    assert saved["answers"]["reward"]["mean"] == 0.5
    assert saved["answers_column"] == "summary"
    assert "win rate over the reference by gold score" in shown
    assert "answers 1.000: good good" in shown

    assert main(["report", str(with_gold), "--metric", "win_rate_answers_gold"]) == 0
    found = json.loads((with_gold / "report" / "report.json").read_text())
    own = found["runs"][0]["measures"]
    assert own["win_rate"] == saved["win_rate"]["mean"]
    assert own["win_rate_gold"] == saved["gold_win_rate"]["mean"]
    assert own["win_rate_answers"] == saved["policy"]["answers_win_rate"]["mean"]
    assert own["win_rate_answers_gold"] == saved["policy"]["answers_gold_win_rate"]["mean"]
    assert own["start_win_rate_answers_gold"] == saved["reference"]["answers_gold_win_rate"]["mean"]


def test_several_answers_to_a_prompt_leave_as_many_different_prompts(directory: Path, tmp_path: Path, capsys) -> None:
    held = [{"prompt": prompt, "summary": f"{word} {prompt}"} for prompt in "abcd" for word in ("good", "bad", "c")]
    (tmp_path / "held.jsonl").write_text("".join(json.dumps(row) + "\n" for row in held))
    asked = ["evaluate", str(directory), "--trust", "--prompts", str(tmp_path / "held.jsonl"), "--count", "3"]
    for more in ([], ["--answers", "summary"]):
        assert main([*asked, *more]) == 0
        rows = json.loads((directory / "evaluation.json").read_text())["samples"]
        assert len({row["prompt"] for row in rows}) == len(rows) == 3
    assert all(row["answers"].endswith(row["prompt"]) for row in rows)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"prompt": "a"}, "--answers must name a column of the data with an answer to each prompt, got 'summary'"),
        ({"prompt": "a", "summary": " "}, "--answers summary: each must be text that is not blank, got ' ' in row 1"),
        (
            {"prompt": "a", "summary": "<end>"},
            "--answers summary: each must be text that is not blank, got '<end>' in row 1",
        ),
        ({"prompt": "a", "summary": 3}, "--answers summary: each must be text that is not blank, got 3 in row 1"),
    ],
)
def test_answers_that_are_not_there_are_refused(
    directory: Path, tmp_path: Path, record: dict, said: str, capsys
) -> None:
    (tmp_path / "held.jsonl").write_text(json.dumps(record) + "\n")
    before = sorted(directory.rglob("*"))
    asked = ["evaluate", str(directory), "--trust", "--prompts", str(tmp_path / "held.jsonl"), "--answers", "summary"]
    assert main(asked) == 2
    assert said in capsys.readouterr().err
    assert sorted(directory.rglob("*")) == before


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


def test_another_split_is_drawn_whole() -> None:
    trained = {"data": {"name": "hub", "path": "a/b", "split": "train", "limit": 9, "held_out": 3, "part": "train"}}
    found = held_out(trained, None, "validation")["data"]
    assert found == {**trained["data"], "split": "validation", "limit": None, "held_out": 0}


@pytest.mark.parametrize(
    "data",
    [
        {"name": "hub", "path": "a/b", "split": "validation"},
        {"name": "hub", "path": __file__, "split": "train"},
        {"name": "text", "path": "a.txt"},
        {"name": "reviews"},
    ],
)
def test_a_split_that_there_cannot_be_is_refused(data: dict) -> None:
    with pytest.raises(ConfigError, match="--split must name another split of the run's data set on the hub, got 'val"):
        held_out({"data": data, "seed": 0}, None, "validation")


def test_prompts_come_from_one_place(directory: Path, prompts: Path, capsys) -> None:
    assert main(["evaluate", str(directory), "--prompts", str(prompts), "--split", "test"]) == 2
    assert "--split must stand without --prompts" in capsys.readouterr().err
