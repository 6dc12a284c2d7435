"""``hydra/launcher=ray`` on a cluster of three machines on loopback, as a user meets it."""

import os
import signal
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from support.commands import Done, small_overrides
from support.sweeps import REWARDS, Sweep, info_of, parent_of, rows_of, run_of

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed here: pip install '.[ray]'"),
    pytest.mark.long,  # minutes: `make long` runs them
]

MACHINES = 3
VARIABLES = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else loopback is taken for a machine that can be no cluster
    "RAY_USAGE_STATS_ENABLED": "0",
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without room for jobs, and machines with room for one each."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in VARIABLES.items():
            patch.setenv(name, value)
        from ray.cluster_utils import Cluster

        here = {"node_ip_address": "127.0.0.1", "object_store_memory": 80 * 2**20}
        made = Cluster(initialize_head=True, head_node_args={**here, "num_cpus": 0, "include_dashboard": False})
        try:
            for _ in range(MACHINES):
                made.add_node(**here, num_cpus=1, wait=False)
            made.wait_for_nodes()
            yield made
        finally:
            made.shutdown()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rewards.py").write_text(REWARDS)
    return tmp_path


def on_ray(cluster: Any) -> list[str]:
    return ["hydra/launcher=ray", f"hydra.launcher.address='{cluster.address}'"]


def words(folder: Path, updates: int) -> list[str]:
    small = [word for word in small_overrides(folder) if not word.startswith(("updates=", "reward.name="))]
    return [*small, f"updates={updates}", "arm=x"]


def test_lost_jobs_go_on_failed_ones_are_told_and_rows_are_those_of_local_runs(
    folder: Path, cluster: Any, safelab: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = [word for word in words(folder, 25) if word != "arm=x"]
    told = [*small, "reward.name='rewards:slow','rewards:slow_too','rewards:broken'", "checkpoint.every=4"]
    sweep = Sweep(folder, [*told, *on_ray(cluster)], VARIABLES)
    runs = lambda: sorted(path.parent for path in (folder / "outputs").rglob("metrics.jsonl") if rows_of(path.parent))  # noqa: E731
    sweep.until(lambda: len(runs()) == 2 and all(len(rows_of(run)) > 5 for run in runs()))
    pids = [info_of(run)["pid"] for run in runs()]
    raylet = parent_of(pids[1])
    os.kill(pids[0], signal.SIGKILL)
    (machine,) = (one for one in cluster.worker_nodes if one.all_processes["raylet"][0].process.pid == raylet)
    cluster.remove_node(machine, allow_graceful=False)
    code, out = sweep.ended()
    assert code == 1, out
    assert out.count("; it goes on from its last checkpoint") == 2
    assert "ZeroDivisionError: division by zero" in out
    assert "    | about to divide" in out
    assert "2 of 3 jobs are done" in out
    assert all((run / "log.txt").is_file() for run in runs())
    assert not [*(folder / "outputs" / "default").glob(".*")]

    monkeypatch.setenv("REWARD_S", "0")
    assert safelab("train", *small, "reward.name='rewards:slow'", "experiment=alone", "arm=x").code == 0
    alone = rows_of(run_of(folder, 0, "alone"))
    assert len(alone) == 25
    assert [rows_of(run) for run in runs() if "alone" not in run.parts] == [alone, alone]


def test_ctrl_c_saves_every_job_and_the_sweep_goes_on_elsewhere(
    folder: Path, cluster: Any, safelab: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [*words(folder, 4000), "reward.name='rewards:slow'", "seed=0,1", "checkpoint.every=0"]
    sweep = Sweep(folder, [*told, *on_ray(cluster), "hydra.launcher.workers=1"], VARIABLES)
    first = run_of(folder, 0)
    sweep.until(lambda: len(rows_of(first)) > 3)
    sweep.ctrl_c()
    code, out = sweep.ended()
    assert code == 130, out
    assert "Traceback" not in out
    assert info_of(first)["status"] == "interrupted"
    assert not run_of(folder, 1).exists()

    monkeypatch.setenv("REWARD_S", "0")
    reached = info_of(first)["last_update"]
    told[told.index("updates=4000")] = f"updates={reached + 3}"
    done = safelab("train", "-m", *told)
    assert done.code == 0, done
    assert [row["update"] for row in rows_of(first)] == list(range(reached + 3))


def test_no_cluster_there_is_told(folder: Path, safelab: Callable[..., Done]) -> None:
    nowhere = ["hydra/launcher=ray", "hydra.launcher.address='127.0.0.1:1'"]
    done = safelab("train", "-m", *words(folder, 2), "reward.name='rewards:good'", "seed=0,1", *nowhere)
    assert done.code == 2, done
    assert "hydra.launcher.address must be that of a running Ray cluster, got 127.0.0.1:1" in done.err
