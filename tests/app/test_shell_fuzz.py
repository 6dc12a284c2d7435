"""Argument lists that nobody meant, through the whole command line: exit code 0 or 2, one message, no traceback."""

import random
from pathlib import Path

import pytest

from safelab.app.cli import main
from safelab.app.commands import train
from safelab.training.lifecycle.run import Outcome

KEYS = [
    "optimizer.lr", "controller", "controller/gate", "controller.route", "seed", "updates", "output_dir", "experiment",
    "arm", "arms", "sweep", "algorithm", "resume.allow", "hydra", "hydra/launcher", "hydra.launcher._target_",
    "hydra.launcher.workers", "hydra.sweeper._target_", "hydra.sweeper.params", "hydra.job.env_copy", "hydra.mode",
    "hydra.callbacks.x._target_", "hydra.searchpath", "name", "_target_", "defaults", "", ".", "..", "a.", "/", "@",
    "policy@", "[0]", "${seed}", "reward.a/b", "policy.adapter.x.y", "a b", "\u0665",
]  # fmt: skip
VALUES = [
    "", "null", "nan", "-inf", "1e999", "0", "-1", "''", "[]", "{}", "[[[]]]", "{a:1}", "{name:x}", "???", "'${seed}'",
    "${a.b}", "${.}", "${oc.env:NOPE}", "../../etc", "/", "..", "os.system", "os:system", "0,1", "a,b", "range(3)",
    "range(1,0)", "choice(1,2)", "glob(*)", "*", "'", '"', "\\", "\x1b[2J", "x" * 300, "9" * 40, " ", "\n", "=",
]  # fmt: skip
FLAGS = [
    ["-m"], ["--cfg", "job"], ["--cfg", "x"], ["--info", "defaults"], ["-cn", "nope"], ["-cd", "/nope"], ["--resolve"],
    ["-m", "--cfg", "job"], ["dry_run=true"], ["+sweep=nope"], ["arms=[a"], ["arms=safe"], ["--package", "x"], ["-x"],
]  # fmt: skip
FOUND = [
    ["+=."],
    ["-m", "seed=0,1", "+=."],
    ["hydra.job.env_copy='${seed}'"],
    ["hydra.launcher._target_=os.system"],
    ["-m", "hydra.sweeper._target_=os.system"],
    ["-m", "+hydra.callbacks.x._target_=os.system"],
    ["-m", "hydra.launcher.workers=-1"],
    ["controller/route=[[[]]]"],
    ["++hydra.launcher=5"],
]
"""What ended in a traceback, a hang or a call once."""


def drawn(seed: int) -> list[str]:
    rng = random.Random(seed)
    words = []
    for _ in range(rng.choice([1, 1, 2, 3])):
        if rng.random() < 0.25:
            words += rng.choice(FLAGS)
        else:
            words.append(f"{rng.choice(['', '', '', '+', '++', '~'])}{rng.choice(KEYS)}={rng.choice(VALUES)}")
    return words


@pytest.fixture(autouse=True)
def nothing_is_trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from hydra_plugins.safelab_local_launcher.local import SafelabLauncher

    def skipped(job: object) -> Outcome:
        return Outcome(status="skipped", directory=tmp_path, reason=None, final_reward=None)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train, "run_job", skipped)
    monkeypatch.setattr(train, "prepare_policies", lambda jobs: None)
    monkeypatch.setattr(train, "warm", lambda: None)
    monkeypatch.setattr(SafelabLauncher, "launch", lambda self, overrides, initial_job_idx: [])


@pytest.mark.parametrize("words", [*FOUND, *map(drawn, range(40))], ids=repr)
def test_it_ends_in_an_answer_or_in_one_message(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["train", *words])
    err = capsys.readouterr().err
    assert code in (0, 2)
    assert "Traceback" not in err
    assert code == 0 or err.startswith("error: ") or "--package" in words  # of which Hydra tells itself
    assert words not in FOUND or code == 2
