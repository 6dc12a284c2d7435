"""What became slower by more than a tenth: update, decoding and memory against the stored ``baseline.json``.

    make bench
    .venv/bin/python -m scripts.bench.compare [--rounds 8] [--setting NAME ...] [--write]

Times do not travel from machine to machine, so every measure is a ratio to the floor in the same run: ``update`` and
``decoding`` on ``scripts.bench.update``'s settings over ``scripts.bench.floor``; ``memory``, the most that the
allocator held with prompts of many lengths over the same tokens in prompts of one (``scripts.bench.memory``). One
thread, and the processor's time of each process, so that a machine that others use measures too.

Noise: a ratio is the median over rounds, with an interval that holds the true median with 95 %. A measure is "slower"
only if the whole interval lies above 1.1 times the baseline's median, and then the exit code is 1; "slower?" says that
the median does and the interval does not: repeat it on a calmer machine, or with more rounds. (Of fewer than six rounds
the interval is their whole range, which holds the true median less often: 75 % with three.) ``--write`` stores what was
measured as the new baseline in place of comparing.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.bench import memory, update
from scripts.bench.turns import ROOT, Ratio, ratio_of, take_turns

BASELINE = Path(__file__).with_name("baseline.json")
TOLERATED = 1.1
WORK = {"update, ppo": ("ppo", "floor"), "update, safe": ("safe", "floor"), "decoding": ("decoding", "floor_decoding")}
"""What is measured on each setting: a worker over another."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, then compare or write; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--setting", action="append", choices=[*update.settings(), "memory"], help="only these")
    parser.add_argument("--write", action="store_true", help="store a new baseline")
    flags = parser.parse_args(arguments)
    if flags.write and flags.setting:
        parser.error("--write must store every setting; leave out --setting")
    if not flags.write and not BASELINE.exists():
        parser.error(f"there must be a baseline to compare with, and there is no {BASELINE}; make one with --write")
    found = measured(flags.setting or [*update.settings(), "memory"], flags.rounds)
    machine = machine_words()
    if flags.write:
        command = f"python -m scripts.bench.compare --rounds {flags.rounds} --write"
        stored = {"machine": machine, "commit": commit(), "command": command}
        stored["measures"] = {name: asdict(ratio) for name, ratio in found.items()}
        BASELINE.write_text(json.dumps(stored, indent=2) + "\n")
        print(f"wrote {BASELINE.relative_to(ROOT)}")
    stored = json.loads(BASELINE.read_text())
    print(f"baseline: {stored['commit']} on {stored['machine']}\nnow:      {commit()} on {machine}\n")
    table, slower = compared({name: each["ratio"] for name, each in stored["measures"].items()}, found)
    print(table)
    return int(slower)


def measured(settings: Sequence[str], rounds: int) -> dict[str, Ratio]:
    """Every measure of these settings, by name."""
    found: dict[str, Ratio] = {}
    for name in settings:
        print(f"measuring {name}", file=sys.stderr, flush=True)
        if name == "memory":
            found["memory, ragged / even"] = memory_ratio()
            continue
        with TemporaryDirectory() as folder:
            update.make_setting(Path(folder), update.settings()[name])
            kinds = dict.fromkeys(kind for pair in WORK.values() for kind in pair)
            bench = update.Bench(directory=Path(folder), setting=name, threads=1, clock="cpu")
            times = take_turns({kind: bench.worker(kind) for kind in kinds}, rounds)
        found |= {f"{work}, {name}": ratio_of(times[mine], times[floor]) for work, (mine, floor) in WORK.items()}
    return found


def memory_ratio() -> Ratio:
    """The allocator's peak on ragged prompts over that on even ones; it does not vary."""
    ragged, even = (memory.in_a_process(case, ways=["measured"])["measured"] for case in memory.ragged_cases().values())
    return ratio_of([ragged], [even])


def compared(before: dict[str, float], now: dict[str, Ratio]) -> tuple[str, bool]:
    """The table, and whether something is slower."""
    lines = [f"{'measure':24}  baseline     now  [95 % interval]   change  verdict"]
    verdicts = []
    for name, ratio in now.items():
        told = f"{ratio.ratio:6.3f}  [{ratio.low:6.3f}, {ratio.high:6.3f}]"
        if name not in before:
            lines.append(f"{name:24}            {told}           new")
            continue
        verdicts.append(verdict(before[name], ratio))
        change = ratio.ratio / before[name] - 1
        lines.append(f"{name:24}    {before[name]:6.3f}  {told}  {change:+7.1%}  {verdicts[-1]}")
    return "\n".join(lines), "slower" in verdicts


def verdict(before: float, now: Ratio) -> str:
    """In a word; see the module."""
    if now.low > TOLERATED * before:
        return "slower"
    if now.ratio > TOLERATED * before:
        return "slower?"
    return "faster" if now.high * TOLERATED < before else "as before"


def machine_words() -> str:
    """What ratios depend on."""
    versions = ", ".join(f"{package} {version(package)}" for package in ("torch", "transformers"))
    return f"{os.cpu_count()} cores ({platform.machine()}), {versions}"


def commit() -> str:
    """Of this checkout, with a mark if it has changes."""
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or "no commit"


if __name__ == "__main__":
    sys.exit(main())
