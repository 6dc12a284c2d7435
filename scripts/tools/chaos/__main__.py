"""The fault campaign: kills, writes that fail, flipped bits, NaN, and overrides that nobody meant.

Usage: .venv/bin/python -m scripts.tools.chaos [--kills N] [--examples N] [--seed N] [--only WORD ...]

Prints what was tried and found; exits with 1 if anything was. docs/reliability.md holds its figures. Full disks and
read-only ones need root, which may mount a file system in memory; without it they are left out, and that is said.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from hypothesis import HealthCheck, Phase, given, settings

from safelab.app.config.compose import opened
from scripts.tools.chaos import bits, disks, fuzz, kills, poison, writes
from scripts.tools.chaos.world import Campaign, make_world


def main(arguments: Sequence[str] | None = None) -> int:
    """Every campaign in turn."""
    parser = argparse.ArgumentParser(description="Break runs in every way, and see whether anything is lost.")
    parser.add_argument("--kills", type=int, default=100, help="kill -9 at random moments of training (100)")
    parser.add_argument("--sweeps", type=int, default=12, help="kill -9 of a launcher or its jobs (12)")
    parser.add_argument("--examples", type=int, default=300, help="fuzzed overrides and files (300)")
    parser.add_argument("--points", type=int, default=40, help="writes that are made to fail, of each kind (40)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[""], metavar="WORD", help="campaigns whose name contains one")
    flags = parser.parse_args(arguments)
    torch.set_num_threads(1)
    folder = Path(tempfile.mkdtemp(prefix="safelab-chaos-"))
    world = make_world(folder)
    rng = random.Random(flags.seed)
    count = writes.count_writes(world)
    points = sorted(rng.sample(range(count), min(flags.points, count)))
    print(f"one run: {world.seconds:.1f} s, {count} writes", flush=True)
    campaigns: dict[str, Callable[[], Campaign]] = {
        "kill at random": lambda: kills.kills_at_random(world, flags.kills, rng),
        "kill at a write": lambda: kills.kills_at_writes(world, points),
        "fail once": lambda: writes.writes_that_fail(world, points, "once"),
        "fail from there on": lambda: writes.writes_that_fail(world, points, "always"),
        "lost folder": lambda: disks.lost_folders(world, 10, rng),
        "flip": lambda: bits.flips(world, 64),
        "nan": lambda: poison.nan_in_each_tensor(folder),
        "fuzz": lambda: fuzzed(flags.examples, flags.seed),
        "sweep": lambda: kills.kills_of_sweeps(world, flags.sweeps, rng),
    }
    if disks.may_mount(folder):
        campaigns["full disk"] = lambda: disks.full_disks(world, range(8, 168, 16))
        campaigns["read-only"] = lambda: disks.read_only_disks(world, [0.0, 0.2, 0.4, 0.6, 0.8])
    else:
        print("no tmpfs may be mounted here: full and read-only disks are left out", flush=True)
    findings = []
    for name, run in campaigns.items():
        if any(word in name for word in flags.only):
            began = time.monotonic()
            done = run()
            findings += done.findings
            took = time.monotonic() - began
            print(f"{done.name}: {done.tries} tries, {len(done.findings)} findings, {took:.0f} s", flush=True)
            print("".join(f"  {finding}\n" for finding in done.findings), end="", flush=True)
    shutil.rmtree(folder)
    return 1 if findings else 0


def fuzzed(examples: int, seed: int) -> Campaign:
    """Overrides and files, three to one."""
    campaign = Campaign("overrides and files that nobody meant")

    @settings(
        max_examples=examples * 3 // 4, deadline=None, database=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(fuzz.overrides())
    def overrides(words: list[str]) -> None:
        campaign.tries += 1
        with opened() as hydra:
            attempt(words, lambda: fuzz.ending(hydra, words))

    @settings(
        max_examples=examples - examples * 3 // 4, deadline=None, database=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(fuzz.YAMLS)
    def files(text: str) -> None:
        campaign.tries += 1
        with tempfile.TemporaryDirectory() as folder:
            attempt(text, lambda: fuzz.ending_of_file(Path(folder), text))

    def attempt(what: object, act: Callable[[], object]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 (whatever is raised is what we look for)
            campaign.found(f"{what!r}: {type(error).__name__}: {str(error)[:300]}")

    random.seed(seed)
    overrides()
    files()
    return campaign


if __name__ == "__main__":
    sys.exit(main())
