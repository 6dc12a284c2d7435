"""Sweeps in a process of their own, watched from outside: what their runs have written, and what ends them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from support.commands import CALL, environment
from support.runs import numbers

# A reward that takes its time, so that there is time to do something to the run; and one that raises.
REWARDS = """
import os
import time

def good(prompts, responses):
    return [response.split().count("good") / max(1, len(response.split())) for response in responses]

def slow(prompts, responses):
    time.sleep(float(os.environ.get("REWARD_S", 0.1)))
    return good(prompts, responses)

def slow_too(prompts, responses):
    return slow(prompts, responses)

def broken(prompts, responses):
    print("about to divide")
    return [1 / 0 for _ in responses]
"""

LONGEST_S = 90.0


class Sweep:
    """``safelab train -m`` in ``folder`` as a user starts it; its runs are called by their seeds."""

    def __init__(self, folder: Path, words: Sequence[str], variables: Mapping[str, str]) -> None:
        self._folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", CALL, "train", "-m", *words], cwd=folder, env=environment(variables),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            # A shell's background job ignores Ctrl-C, which is right there and not meant here.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait; a sweep that has ended meanwhile is shown."""
        deadline = time.monotonic() + LONGEST_S
        while not holds():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise AssertionError(f"it did not come to it: {self.process.communicate()[0]}")
            time.sleep(0.1)

    def ended(self) -> tuple[int, str]:
        """Exit code and output, once it is over."""
        out, _ = self.process.communicate(timeout=LONGEST_S)
        return self.process.returncode, out

    def ctrl_c(self) -> None:
        """As in its terminal."""
        os.kill(self.process.pid, signal.SIGINT)


def run_of(folder: Path, seed: int, experiment: str = "default", arm: str = "x") -> Path:
    """Its directory."""
    return folder / "outputs" / experiment / arm / f"seed_{seed}"


def rows_of(run: Path) -> list[dict[str, Any]]:
    """What it has written so far, without what a clock has to do with."""
    path = run / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return numbers([json.loads(line) for line in lines if line.endswith("\n")])


def info_of(run: Path) -> dict[str, Any]:
    """Its record; empty before it has one."""
    path = run / "run.json"
    return json.loads(path.read_text()) if path.exists() else {}


def parent_of(pid: int) -> int:
    """The process that started ``pid``."""
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
