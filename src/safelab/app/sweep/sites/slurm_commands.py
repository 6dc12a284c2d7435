"""SLURM's own commands: what they are asked, and what is read out of their answers."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from shutil import which

from safelab.errors import ConfigError, printable

USED = ("sbatch", "squeue", "scancel", "scontrol")

OVER = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED",
        "REVOKED", "TIMEOUT"}  # fmt: skip
"""States that a job does not leave; one that is queued again is in another."""

MARK = "#SBATCH "
"""What the options of ``sbatch`` stand behind in a script."""

ASKED = ("--cpus-per-task=", "--gres=", "--partition=", "--account=", "--time=")
"""Options that are told again where SLURM refuses a job; some of them nobody typed."""

LONGEST_S = 120.0
"""Seconds that a command may take: a busy controller is slow, and answers."""


def check() -> None:
    """Refuse a machine without SLURM's commands.

    Raises:
        ConfigError: naming the first that is missing.
    """
    for name in USED:
        if which(name) is None:
            raise ConfigError(
                f"hydra/launcher=slurm must find SLURM's {name} in PATH, got none: give the command on a machine from "
                "which jobs are submitted"
            )


def submit(script: Path) -> str:
    """SLURM's number of the array that ``script`` describes.

    Raises:
        ConfigError: SLURM refuses it.
    """
    code, out, err = _call("sbatch", "--parsable", str(script))
    if code:
        lines = (err.strip() or out.strip()).splitlines()
        said = "; ".join(re.sub(r"^sbatch: (error: )?", "", printable(line)) for line in lines)
        told = [line.removeprefix(MARK) for line in script.read_text(encoding="utf-8").splitlines()]
        asked = " ".join(line for line in told if line.startswith(ASKED))
        raise ConfigError(
            f"hydra.launcher must describe jobs that SLURM takes, and sbatch says: {said} (asked for: {asked})"
        )
    return out.strip().split(";")[0]


def alive(arrays: Sequence[str]) -> set[str] | None:
    """Names (``ARRAY_INDEX``) of the jobs of ``arrays`` that wait or run; None where SLURM does not answer."""
    if not arrays:
        return set()
    asked = ("--noheader", "--array", "--states=all", f"--jobs={','.join(arrays)}", "--format=%i|%T")
    code, out, err = _call("squeue", *asked)
    if code and "Invalid job id" in err:  # forgotten, so long ago did they end
        return set()
    if code:
        print(f"note: squeue does not answer ({printable(_last(err))}); asking again", file=sys.stderr, flush=True)
        return None
    rows = [line.strip().split("|") for line in out.splitlines() if "|" in line]
    return {name for name, state in rows if state not in OVER}


def cancel_waiting(arrays: Sequence[str]) -> None:
    """Take those that wait out of the queue."""
    for array in arrays:
        _call("scancel", "--state=PENDING", array)


def stop(arrays: Sequence[str], insist: bool) -> None:
    """Have those that run save themselves; ``insist``: end them."""
    for array in arrays:
        _call("scancel", *([] if insist else ["--batch", "--signal=TERM"]), array)


def requeue(job: str) -> str | None:
    """Put a running job back into the queue, which ends it; why not, if SLURM refuses."""
    code, out, err = _call("scontrol", "requeue", job)
    return printable(_last(err) or _last(out)) if code else None


def how_it_ended(name: str) -> tuple[str, int, str]:
    """State, signal that ended it (0: none), and node of a job that is over; the state is in words if SLURM forgot."""
    _, out, _ = _call("scontrol", "show", "job", name, "--oneliner")
    facts = dict(part.split("=", 1) for part in out.split() if "=" in part)
    signal = facts.get("ExitCode", "0:0").rpartition(":")[2]
    node = facts.get("NodeList", "")
    state = facts.get("JobState", "a job that SLURM no longer knows")
    return state, int(signal) if signal.isdecimal() else 0, "" if node in ("(null)", "None") else node


def _call(*words: str) -> tuple[int, str, str]:
    """Exit code, output and errors. In a session of its own, as Ctrl-C is ours to pass on."""
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, timeout=LONGEST_S, start_new_session=True
        )
    except subprocess.TimeoutExpired:
        return 1, "", f"no answer in {LONGEST_S:.0f} s"
    return done.returncode, done.stdout, done.stderr


def _last(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else ""
