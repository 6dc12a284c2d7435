"""One run as one process and as two, with as many threads in all: seconds of an update, and the exchanges' share.

    .venv/bin/python -m scripts.bench.ranks [--policy embedded|llama ...] [--rounds 5] [--updates 12]

Each round runs ``safelab train`` once in each way, in an order that changes every round, so that whatever else the
machine does disturbs all alike. A run's number is the median over its updates, the first two left out (they audit, and
warm up); the table has the medians of the rounds, and the ratio is the median of the rounds' ratios. ``embedded``: the
embedded world's policy with the defaults. ``llama``: four layers of width 128 with random weights, 16 prompts of 49 to
64 tokens and responses of 64. ``time/exchange_s`` is the first rank's, and has its waiting for the other in it.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.bench.compare import commit
from scripts.bench.memory import Case, make_model
from scripts.bench.turns import ROOT, ratio_of

WAYS = ((1, 1), (1, 2), (2, 1))
"""Ranks, and threads of each."""

BASE = (1, 2)
"""What the others are compared with."""

WARM = 2
"""Updates of a run that do not count."""

SAFELAB = "import sys; sys.argv[0] = 'safelab'; from safelab.app.cli import main; sys.exit(main())"

LLAMA = Case(family="llama", width=128, layers=4, vocabulary=2048, overrides=(), batch=16)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Of one run: seconds of an update, and the share of them that went into exchanges."""

    seconds: float
    share: float


def overrides_of(policy: str, directory: Path) -> list[str]:
    """The run's, but for ranks, threads and updates; makes the model where it has to be made."""
    common = ["device=cpu", "algorithm=ppo_matched", "checkpoint.every=0", "samples.every=0"]
    if policy == "embedded":
        return common
    if not (directory / "config.json").exists():
        make_model(directory, LLAMA)
    return [
        *common, "policy=local", f"policy.path={directory}", "data=text", f"data.path={directory / 'prompts.txt'}",
        "reward=function", "reward.name='scripts.bench.update:length'", f"rollout.batch_size={LLAMA.batch}",
        f"rollout.max_new_tokens={LLAMA.response}", f"policy.max_prompt_tokens={LLAMA.prompt}",
    ]  # fmt: skip


def measured(rows: Sequence[dict]) -> Measured:
    """Of a run's rows."""
    counted = rows[WARM:]
    return Measured(
        seconds=statistics.median(row["time/total_s"] for row in counted),
        share=sum(row.get("time/exchange_s", 0.0) for row in counted) / sum(row["time/total_s"] for row in counted),
    )


def run(overrides: Sequence[str], ranks: int, threads: int, updates: int) -> Measured:
    """One run of ``safelab train``."""
    with TemporaryDirectory() as folder:
        asked = [*overrides, f"ranks={ranks}", f"threads={threads}", f"updates={updates}", f"output_dir={folder}"]
        done = subprocess.run(
            [sys.executable, "-c", SAFELAB, "train", *asked], cwd=ROOT, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        )  # fmt: skip
        if done.returncode != 0:
            raise SystemExit(f"safelab train {' '.join(asked)} ended with code {done.returncode}:\n{done.stderr}")
        [found] = Path(folder).rglob("metrics.jsonl")
        return measured([json.loads(line) for line in found.read_text().splitlines()])


def rounds_of(overrides: Sequence[str], rounds: int, updates: int) -> dict[tuple[int, int], list[Measured]]:
    """Each way's runs, round by round."""
    found: dict[tuple[int, int], list[Measured]] = {way: [] for way in WAYS}
    for number in range(rounds):
        for way in random.Random(number).sample(WAYS, len(WAYS)):
            found[way].append(run(overrides, *way, updates))
    return found


def lines(policy: str, found: dict[tuple[int, int], list[Measured]]) -> list[str]:
    """The table's rows of one policy."""
    base = [one.seconds for one in found[BASE]]
    return [
        f"| {policy} | {ranks} | {threads} | {statistics.median(one.seconds for one in runs):.3f} "
        f"| {ratio_of([one.seconds for one in runs], base)} | {statistics.median(one.share for one in runs):.1%} |"
        for (ranks, threads), runs in found.items()
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", action="append", choices=("embedded", "llama"), help="only this one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=12, help="of each run, the first two included")
    flags = parser.parse_args(arguments)
    if flags.updates <= WARM:
        parser.error(f"--updates must be above {WARM}, got {flags.updates}: the first {WARM} do not count")
    given = sys.argv[1:] if arguments is None else arguments
    print(f"`{' '.join(['python -m scripts.bench.ranks', *given])}` at {commit()}, {os.cpu_count()} processors\n")
    print("| policy | ranks | threads of each | s an update | against 1 x 2 | exchanges |\n|---|---|---|---|---|---|")
    with TemporaryDirectory() as folder:
        for policy in flags.policy or ("embedded", "llama"):
            found = rounds_of(overrides_of(policy, Path(folder)), flags.rounds, flags.updates)
            print("\n".join(lines(policy, found)), flush=True)


if __name__ == "__main__":
    main()
