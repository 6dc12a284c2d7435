"""``safelab`` as a user calls it: in a process of its own, or in this one where that says the same and is faster."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from safelab.app.cli import main

TESTS = Path(__file__).resolve().parents[1]
PLACES = (str(TESTS), str(TESTS.parent), str(TESTS.parent / "src"))
"""Where a process finds the tests' own modules, the scripts, and the code that is tested, wherever it was installed."""

CALL = "import sys; from safelab.app.cli import main; sys.exit(main())"


@dataclass(frozen=True)
class Done:
    """What a call left: exit code, output, and what it made in its working directory."""

    code: int
    out: str
    err: str
    made: list[str]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's, with everything of this folder importable."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(PLACES), **(extra or {})}


def call(cwd: Path, *arguments: str, timeout: float = 120) -> Done:
    """``safelab arguments`` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", CALL, *arguments],
        cwd=cwd, env=environment(), capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    return Done(code=done.returncode, out=done.stdout, err=done.stderr, made=_listing(cwd))


def call_here(cwd: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *arguments: str) -> Done:
    """``safelab arguments`` in this process."""
    monkeypatch.chdir(cwd)
    capfd.readouterr()
    code = main(list(arguments))
    output = capfd.readouterr()
    return Done(code=code, out=output.out, err=output.err, made=_listing(cwd))


def small_overrides(folder: Path) -> list[str]:
    """A run of seconds: the tiny random policy, prompts from a file, the tests' reward."""
    from support.models import model_directory

    prompts = folder / "prompts.txt"
    prompts.write_text("\n".join(["a b c", "d e", "f", "a", "c d e f", "b b"]) + "\n")
    return [
        "policy=local",
        "threads=1",
        f"policy.path={model_directory()}",
        "data=text",
        f"data.path={prompts}",
        "reward=function",
        "reward.name='support.runs:share_of_good'",
        "rollout.batch_size=8",
        "rollout.max_new_tokens=6",
        "updates=3",
    ]


def _listing(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
