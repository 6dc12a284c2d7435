"""How a sweep of small jobs scales over machines: seconds on one, two and three raylets of one core, here.

    python -m scripts.bench.sites                              # 24 jobs on 1, 2 and 3 raylets
    python -m scripts.bench.sites --jobs 2 --updates 2 --raylets 1

The raylets share this computer, so that more of them than it has cores gain nothing: what is measured is what the
launcher and Ray add, not other machines. Needs safelab[ray].
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.bench.turns import ROOT

LOOPBACK = "127.0.0.1"
STORE_BYTES = 80 * 2**20


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One sweep, from the command to its end."""

    raylets: int
    jobs: int
    seconds: float

    @property
    def per_minute(self) -> float:
        """Jobs that are done in a minute."""
        return 60 * self.jobs / self.seconds


@contextmanager
def raylets(count: int) -> Iterator[str]:
    """The address of a cluster of ``count`` machines with one core each, on loopback, besides a head without."""
    os.environ.update(RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0", RAY_USAGE_STATS_ENABLED="0")
    from ray.cluster_utils import Cluster

    told = {"node_ip_address": LOOPBACK, "object_store_memory": STORE_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args={**told, "num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(count):
            cluster.add_node(**told, num_cpus=1, wait=False)
        cluster.wait_for_nodes()
        yield cluster.address
    finally:
        cluster.shutdown()


def sweep(address: str, jobs: int, updates: int, output: Path) -> float:
    """Seconds of ``safelab train -m`` with that many seeds of the embedded policy, whose models are made before."""
    told = [f"seed=range({jobs})", f"updates={updates}", "samples.every=0", f"output_dir={output}", "reward=function"]
    told += ["reward.name='scripts.bench.sites:length'", "hydra/launcher=ray", f"hydra.launcher.address='{address}'"]
    call = "import sys; from safelab.app.cli import main; sys.exit(main())"
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", call, "train", "-m", *told],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"the sweep ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return time.perf_counter() - started


def length(prompts: Sequence[str], responses: Sequence[str]) -> list[float]:
    """A reward that costs nothing, so that a job is what training is."""
    return [min(len(response), 100) / 100 for response in responses]


def table(measured: Sequence[Measured]) -> str:
    """As Markdown, each against the first."""
    lines = ["| raylets | jobs | seconds | jobs per minute | against the first |", "|---|---|---|---|---|"]
    for one in measured:
        gain = measured[0].seconds / one.seconds
        lines.append(f"| {one.raylets} | {one.jobs} | {one.seconds:.1f} | {one.per_minute:.1f} | {gain:.2f} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=24, help="of each sweep (24)")
    parser.add_argument("--updates", type=int, default=20, help="of each job (20)")
    parser.add_argument("--raylets", type=int, nargs="+", default=[1, 2, 3], help="numbers of machines (1 2 3)")
    flags = parser.parse_args(arguments)
    measured = []
    with tempfile.TemporaryDirectory() as folder:
        for count in flags.raylets:
            with raylets(count) as address:
                sweep(address, 1, 1, Path(folder, f"warm_{count}"))  # models are made, files are read once
                seconds = sweep(address, flags.jobs, flags.updates, Path(folder, str(count)))
            measured.append(Measured(raylets=count, jobs=flags.jobs, seconds=seconds))
    print(
        f"{flags.jobs} jobs of {flags.updates} updates, algorithm=ppo, policy=tiny, one thread, {os.cpu_count()} cores"
    )
    print(table(measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
