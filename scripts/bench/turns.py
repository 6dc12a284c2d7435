"""Workers that take turns, so that whatever else the machine does disturbs all alike, and ratios of their rounds."""

import os
import random
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Worker:
    """A process that does its work once for each line on its input, and answers ``ms TIME``.

    Args:
        command: of the process.
        tree: a checkout, whose ``src`` the process imports.
    """

    def __init__(self, *command: str, tree: Path = ROOT) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(tree / "src")},
        )  # fmt: skip

    def __call__(self) -> float:
        """Milliseconds of the work, done once."""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("ms "):
                return float(line.split()[1])
        raise SystemExit(f"a worker ended: {' '.join(self.process.args)}")

    def close(self) -> None:
        """End it."""
        self.process.stdin.close()
        self.process.wait()


def take_turns(workers: dict[str, Worker], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each worker in each round, the order new in every round; ends the workers.

    Two rounds before the first do not count.
    """
    times: dict[str, list[float]] = {name: [] for name in workers}
    order = list(workers)
    for number in range(-2, rounds):
        random.Random(number).shuffle(order)
        for name in order:
            taken = workers[name]()
            if number >= 0:
                times[name].append(taken)
    for worker in workers.values():
        worker.close()
    return times


def timed(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Milliseconds of one call."""
    start = clock()
    work()
    return 1e3 * (clock() - start)


CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
"""``cpu``: what the process itself computed, which others on the machine hardly change; for one thread, since waiting
for another thread is computing too."""


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """The median over rounds, its quartiles, and an interval that holds the true median with about 95 %."""

    ratio: float
    quartiles: tuple[float, float]
    low: float
    high: float

    def __str__(self) -> str:
        """Median and quartiles."""
        return f"{self.ratio:.3f} [{self.quartiles[0]:.3f}, {self.quartiles[1]:.3f}]"


def ratio_of(upper: Sequence[float], lower: Sequence[float]) -> Ratio:
    """Of two workers' times in the same rounds.

    The interval needs no distribution: the true median lies between the k-th smallest and the k-th largest of n rounds
    but for 2 P(Binomial(n, 1/2) < k), and k is the largest with at most 5 %; with five rounds or fewer it is 1.
    """
    each = sorted(a / b for a, b in zip(upper, lower, strict=True))
    count, quarter = len(each), len(each) // 4
    outside = [2 * sum(comb(count, j) for j in range(k)) / 2**count for k in range(1, count // 2 + 1)]
    bound = max([k for k, share in enumerate(outside, start=1) if share <= 0.05], default=1)
    return Ratio(
        ratio=statistics.median(each), quartiles=(each[quarter], each[-1 - quarter]), low=each[bound - 1],
        high=each[-bound],
    )  # fmt: skip
