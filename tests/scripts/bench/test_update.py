"""The benchmark of an update at a toy's size: a worker for each side, turns, ratios, and the table of scaling."""

import io
import re
import sys
from pathlib import Path

import pytest

from scripts.bench import update
from scripts.tools import tiny


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


@pytest.mark.parametrize("kind", ["floor", "ppo"])
def test_a_worker_answers_each_line_with_its_time(kind: str, model: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("go\ngo\n"))
    update.main(["--serve", str(model), "--threads", "1", "--kind", kind])
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("ms ")]
    assert len(said) == 2
    assert all(float(line.split()[1]) > 0 for line in said)


def test_a_worker_in_a_process_of_its_own(model: Path) -> None:
    served = ["--serve", str(model), "--threads", "1", "--kind", "floor"]
    worker = update.Worker(sys.executable, "-m", "scripts.bench.update", *served)
    assert worker() > 0
    worker.close()
    assert worker.process.returncode == 0


def test_a_worker_that_ends_is_told() -> None:
    with pytest.raises(SystemExit, match=r"a worker ended: .* -c pass"):
        update.Worker(sys.executable, "-c", "import sys; sys.stdin.readline()", "-c pass")()


def test_ratios_are_those_of_the_rounds(model: Path, monkeypatch, capsys) -> None:
    times = {"floor": 10.0, "ppo": 20.0, "ppo_matched": 25.0, "safe": 50.0}
    commands = []

    class Clock:
        def __init__(self, *command: str) -> None:
            commands.append(command)
            self.time, self.rounds = times[command[-1]], 0

        def __call__(self) -> float:
            self.rounds += 1
            return self.time * self.rounds  # slower and slower, all alike

        def close(self) -> None:
            """Nothing to end."""

    monkeypatch.setattr(update, "Worker", Clock)
    monkeypatch.setattr(update, "make_model", lambda directory, prompt: None)
    update.main(["--rounds", "5", "--threads", "1"])
    said = capsys.readouterr().out
    assert "ppo / floor: 2.000 [2.000, 2.000]" in said
    assert "safe / floor: 5.000 [5.000, 5.000]" in said
    assert "safe / ppo_matched: 2.000 [2.000, 2.000]" in said
    # Rounds 3 to 7, after two that do not count: the median of 30 .. 70 is 50.
    assert re.search(r"floor +median +50\.0  least +30\.0", said)
    assert all(command[1:3] == ("-m", "scripts.bench.update") for command in commands)


def test_scaling_shows_the_time_of_a_token(monkeypatch, capsys) -> None:
    asked = []

    def made(directory: Path, *overrides: str):
        asked.append(dict(word.split("=") for word in overrides))
        return lambda: 64.0

    monkeypatch.setattr(update, "updates_of", made)
    monkeypatch.setattr(update, "make_model", lambda directory, prompt: None)
    update.main(["--scaling", "--rounds", "2"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(asked)
    assert re.fullmatch(r" +16 +32 +64\.0 +125\.0", lines[2])  # 64,000 microseconds of 512 tokens
    assert asked[1] == {"rollout.batch_size": "16", "rollout.max_new_tokens": "32", "algorithm": "safe"}
