"""The benchmark of an update at a toy's size: a worker for each side, turns, ratios, and the table of scaling."""

import io
import re
import sys
from pathlib import Path

import pytest

from scripts.bench import update
from scripts.tools import tiny

TOY = update.Setting(prompts=(9, 3, 16, 5) * 4, answers=(8,) * 16)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(update, "WIDTH", 16)
        patch.setattr(update, "LAYERS", 1)
        update.make_model(folder, prompt=16)
    return folder


def test_prompts_have_the_tokens_that_they_should(model: Path, tmp_path: Path) -> None:
    lines = (model / "prompts.txt").read_text().splitlines()
    assert len(lines) == 512
    assert {len(line) for line in lines} == {16}
    tiny.write_model(tmp_path)  # whose tokens are words
    with pytest.raises(SystemExit, match="do not have the tokens"):
        update.save_prompts(tmp_path, [5])


@pytest.fixture
def toy(model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(update, "settings", lambda: {"even": TOY})
    update.save_prompts(model, list(TOY.prompts))
    return model


@pytest.mark.parametrize("kind", ["floor", "floor_decoding", "decoding", "ppo"])
def test_a_worker_answers_each_line_with_its_time(kind: str, toy: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("go\ngo\n"))
    update.main(["--serve", str(toy), "--threads", "1", "--kind", kind, "--clock", "cpu"])
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("ms ")]
    assert len(said) == 2
    assert all(float(line.split()[1]) > 0 for line in said)


def test_the_settings_have_the_tokens_that_they_say() -> None:
    found = update.settings()
    assert {len(setting.prompts) for setting in found.values()} == {len(found["ragged"].answers)} == {update.BATCH}
    assert found["even"].overrides == ("policy.max_prompt_tokens=16", "rollout.max_new_tokens=32")
    assert max(found["ragged"].prompts) <= 256
    assert found["answers"].prompts == found["ragged"].prompts
    assert len(set(found["answers"].answers)) > 8


def test_responses_go_on_to_the_end_where_they_should(toy: Path) -> None:
    parts = update.parts_of(update.config_for(toy, *TOY.overrides))
    prompts = parts.policy.encode(parts.data.prompts(0, 16), range(16))
    rollout = parts.rollout.sample(parts.policy, prompts, range(16))
    assert sorted(prompts.mask.sum(dim=1).tolist()) == sorted(TOY.prompts)
    assert rollout.mask.sum(dim=1).tolist() == [8] * 16
    assert not rollout.ended_seq.any()


def test_ratios_are_those_of_the_rounds(monkeypatch, capsys, tmp_path: Path) -> None:
    times = {"floor": 10.0, "ppo": 20.0, "ppo_matched": 25.0, "safe": 50.0, "yes": 100.0, "no": 40.0}
    trees = []

    class Clock:
        def __init__(self, *command: str, tree: Path = update.ROOT) -> None:
            trees.append(tree)
            self.time, self.rounds = (
                times[next(word for word in command if word in times)] * (1 if tree == update.ROOT else 2),
                0,
            )

        def __call__(self) -> float:
            self.rounds += 1
            return self.time * self.rounds  # slower and slower, all alike

        def close(self) -> None:
            """Nothing to end."""

    there = tmp_path / "checkout"
    (there / "src" / "safelab").mkdir(parents=True)
    monkeypatch.setattr(update, "Worker", Clock)
    monkeypatch.setattr(update, "make_setting", lambda directory, setting: None)
    monkeypatch.setattr(update, "trl_python", lambda directory: "python")
    update.main(["--rounds", "5", "--threads", "1", "--against", str(there), "--trl", str(tmp_path)])
    said = capsys.readouterr().out
    assert "ppo / floor: 2.000 [2.000, 2.000]" in said
    assert "safe / ppo_matched: 2.000 [2.000, 2.000]" in said
    assert "ppo there / ppo: 2.000 [2.000, 2.000]" in said
    assert "trl without gc / ppo: 2.000 [2.000, 2.000]" in said
    # Rounds 3 to 7, after two that do not count: the median of 30 .. 70 is 50.
    assert re.search(r"floor +median +50\.0  least +30\.0", said)
    assert trees.count(there) == 3


def test_what_cannot_be_measured_is_refused(tmp_path: Path, capsys) -> None:
    for told, said in (
        (["--setting", "answers", "--trl", "x"], "TRL writes every response in full"),
        (["--clock", "cpu"], "--threads must be 1 with --clock cpu, got 2"),
        (["--against", str(tmp_path)], "has no src/safelab"),
    ):
        with pytest.raises(SystemExit) as ended:
            update.main(told)
        assert ended.value.code == 2
        assert said in capsys.readouterr().err


def test_scaling_shows_the_time_of_a_token(monkeypatch, capsys) -> None:
    asked = []

    def made(directory: Path, *overrides: str):
        asked.append(dict(word.split("=") for word in overrides))
        return lambda: None

    monkeypatch.setattr(update, "updates_of", made)
    monkeypatch.setattr(update, "timed", lambda work: 64.0)
    monkeypatch.setattr(update, "make_model", lambda directory, prompt: None)
    update.main(["--scaling", "--rounds", "2"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(asked)
    assert re.fullmatch(r" +16 +32 +64\.0 +125\.0", lines[2])  # 64,000 microseconds of 512 tokens
    assert asked[1] == {"rollout.batch_size": "16", "rollout.max_new_tokens": "32", "algorithm": "safe"}
