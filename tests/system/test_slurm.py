"""``hydra/launcher=slurm`` on a real SLURM of two nodes on loopback, as a user meets it."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scripts.tools.slurm import Cluster

from support.commands import TESTS, Done, small_overrides
from support.sweeps import REWARDS, Sweep, info_of, rows_of, run_of

PACKAGES = TESTS.parent / ".slurm"

pytestmark = pytest.mark.skipif(
    shutil.which("slurmctld") is None and not (PACKAGES / "root").is_dir(),
    reason="there is no SLURM here; `make slurm` unpacks one where it can",
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(PACKAGES, tmp_path_factory.mktemp("slurm"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def folder(tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "rewards.py").write_text(REWARDS)
    for name in ("PATH", "SLURM_CONF", "LD_LIBRARY_PATH"):
        if name in cluster.environment:
            monkeypatch.setenv(name, cluster.environment[name])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (TESTS, TESTS.parent, TESTS.parent / "src"))))
    yield tmp_path
    cluster.call("scancel", "--partition=all")
    cluster.call("scancel", "--partition=high")


def words(folder: Path, updates: int, reward: str = "slow") -> list[str]:
    small = [word for word in small_overrides(folder) if not word.startswith(("updates=", "reward.name="))]
    return [*small, f"updates={updates}", f"reward.name='rewards:{reward}'", "arm=x"]


ON_SLURM = ("hydra/launcher=slurm", "hydra.launcher.poll_s=0.2")


def test_rows_are_those_of_a_local_run_and_a_failed_job_is_told(folder: Path, safelab: Callable[..., Done]) -> None:
    told = [word for word in words(folder, 3) if not word.startswith(("reward.name=", "arm="))]
    done = safelab("train", "-m", *told, "reward.name='rewards:good','rewards:broken'", *ON_SLURM, "device=auto")
    assert done.code == 1, done
    assert done.out.count(" submitted\n") == 2
    assert "1 of 2 jobs are done" in done.out
    assert "ZeroDivisionError: division by zero" in done.out
    assert "    | about to divide" in done.err
    (good,) = (path.parent for path in (folder / "outputs").rglob("run.json") if "good" in str(path))
    assert info_of(good)["command"].startswith("safelab")
    assert (good / "log.txt").is_file()
    assert safelab("train", *words(folder, 3, "good"), "experiment=alone").code == 0
    assert len(rows_of(good)) == 3
    assert rows_of(good) == rows_of(run_of(folder, 0, "alone"))


def test_what_slurm_or_the_shell_says_is_passed_on(folder: Path, safelab: Callable[..., Done]) -> None:
    refused = safelab("train", "-m", *words(folder, 3), "seed=0,1", *ON_SLURM, "hydra.launcher.partition=nowhere")
    assert refused.code == 2, refused
    assert "hydra.launcher must describe jobs that SLURM takes, and sbatch says: " in refused.err
    assert "nvalid partition name" in refused.err
    assert "submitted" not in refused.out
    assert not (folder / "outputs").exists()
    setup = "hydra.launcher.setup=['echo no module cuda','exit 3']"
    unset = safelab("train", "-m", *words(folder, 3), "seed=0", *ON_SLURM, setup)
    assert unset.code == 1, unset
    assert "ended on n1 as FAILED" in unset.out
    assert "    | no module cuda" in unset.err


def test_a_killed_job_and_one_whose_node_dies_go_on(folder: Path, cluster: Cluster) -> None:
    sweep = Sweep(folder, [*words(folder, 40), "seed=0,1", "checkpoint.every=4", *ON_SLURM], {})
    runs = [run_of(folder, seed) for seed in (0, 1)]
    sweep.until(lambda: all(len(rows_of(run)) > 5 for run in runs))
    os.kill(info_of(runs[0])["pid"], signal.SIGKILL)
    node = dict(line.split() for line in cluster.call("squeue", "-h", "-r", "-o", "%K %N").splitlines())["1"]
    cluster.kill_node(node)
    sweep.until(lambda: cluster.call("sinfo", "-h", "-n", node, "-o", "%T").startswith("down"))
    cluster.start_node(node)
    code, out = sweep.ended()
    assert code == 0, out
    assert "was ended by SIGKILL; it goes on from its last checkpoint" in out
    assert "2 of 2 jobs are done" in out
    for run in runs:
        assert [row["update"] for row in rows_of(run)] == list(range(40))


@pytest.mark.long
def test_time_is_up_preempted_stopped_then_finished_elsewhere(
    folder: Path, cluster: Cluster, safelab: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [*words(folder, 4000), "seed=0,1,2", "checkpoint.every=0"]
    sweep = Sweep(folder, [*told, *ON_SLURM], {})
    runs = [run_of(folder, seed) for seed in (0, 1, 2)]
    sweep.until(lambda: cluster.call("squeue", "-h", "-o", "%A") != "")
    array = cluster.call("squeue", "-h", "-o", "%F").splitlines()[0]
    cluster.call("scontrol", "hold", f"{array}_2")  # it waits for ever
    sweep.until(lambda: all(len(rows_of(run)) > 3 for run in runs[:2]))
    cluster.call("scancel", "--batch", "--signal=USR1", f"{array}_0")  # what SLURM sends when its time is nearly up
    sweep.until(lambda: info_of(runs[0])["status"] == "interrupted")
    cluster.call("sbatch", "--partition=high", "--nodes=2", "--time=1", "--output=/dev/null", "--wrap=sleep 1")
    sweep.until(lambda: info_of(runs[1])["status"] == "interrupted")  # preempted
    reached = [len(rows_of(run)) for run in runs[:2]]
    sweep.until(lambda: all(len(rows_of(run)) > rows for run, rows in zip(runs, reached, strict=False)))
    sweep.ctrl_c()
    code, out = sweep.ended()
    assert code == 130, out
    assert "Traceback" not in out
    assert [info_of(run).get("status") for run in runs] == ["interrupted", "interrupted", None]
    assert cluster.call("squeue", "-h", "-n", "safelab-default") == ""

    last = max(info_of(run)["last_update"] for run in runs[:2])
    told[told.index("updates=4000")] = f"updates={last + 3}"
    monkeypatch.setenv("REWARD_S", "0")
    done = safelab("train", "-m", *told)
    assert done.code == 0, done
    for run in runs:
        assert [row["update"] for row in rows_of(run)] == list(range(last + 3))


@pytest.mark.long
def test_a_launcher_that_was_killed_finds_its_jobs_again(folder: Path, cluster: Cluster) -> None:
    told = [*words(folder, 40), "seed=0", *ON_SLURM]
    first = Sweep(folder, told, {})
    first.until(lambda: len(rows_of(run_of(folder, 0))) > 3)
    first.process.kill()
    first.process.wait()
    code, out = Sweep(folder, told, {}).ended()
    assert code == 0, out
    assert len([*(folder / "outputs" / "default" / ".slurm").iterdir()]) == 1
    assert [row["update"] for row in rows_of(run_of(folder, 0))] == list(range(40))
