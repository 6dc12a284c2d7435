"""``safelab train -m`` through a launcher that is neither ours nor Hydra's."""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher

from support.commands import Done, call_here, small_overrides

Call = Callable[..., Done]


class TerminatedWorkerError(Exception):
    """As joblib's is called."""


class ForeignLauncher(Launcher):
    """Runs the first job as Hydra does, and loses its worker with the second."""

    def __init__(self, **options: object) -> None:
        self.raises: BaseException = TerminatedWorkerError("A worker process was killed.\n\nExit codes: {SIGKILL(-9)}")

    def setup(self, *, hydra_context, task_function, config) -> None:
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int):
        from hydra.core.utils import run_job, setup_globals

        setup_globals()
        composed = self.context.config_loader.load_sweep_config(self.config, [*job_overrides[0]])
        run_job(
            hydra_context=self.context, task_function=self.task, config=composed,
            job_dir_key="hydra.sweep.dir", job_subdir_key="hydra.sweep.subdir", configure_logging=False,
        )  # fmt: skip
        raise self.raises


@pytest.fixture
def safelab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Done]]:
    monkeypatch.setattr("safelab.foreign.is_own", lambda file: False)  # a launcher is an installed package
    module = ModuleType("hydra_plugins.of_others")
    module.ForeignLauncher = ForeignLauncher
    monkeypatch.setitem(sys.modules, "hydra_plugins.of_others", module)
    monkeypatch.setattr(ForeignLauncher, "__module__", "hydra_plugins.of_others")
    Plugins.instance().register(ForeignLauncher)
    node = {"_target_": "hydra_plugins.of_others.ForeignLauncher", "n_jobs": 2}
    ConfigStore.instance().store(group="hydra/launcher", name="foreign", node=node, provider="others")
    yield partial(call_here, tmp_path, monkeypatch, capfd)
    ConfigStore.instance().repo["hydra"]["launcher"].pop("foreign.yaml")
    Plugins.instance().class_name_to_class.pop("hydra_plugins.of_others.ForeignLauncher")
    Plugins.instance().plugin_type_to_subclass_list[Launcher].remove(ForeignLauncher)


def test_a_job_that_was_killed_ends_in_one_message(tmp_path: Path, safelab: Callable[..., Done]) -> None:
    done = safelab("train", "-m", *small_overrides(tmp_path), "arm=x", "seed=0,1", "hydra/launcher=foreign")
    assert done.code == 1, done
    (said,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert said.startswith("error: hydra/launcher=foreign gave the sweep up (the same command goes on with what is ")
    assert "TerminatedWorkerError: A worker process was killed." in done.err
    assert "Traceback" not in done.err
    assert "outputs/default/x/seed_0/run.json" in done.made
    assert "outputs/default/.lock" not in done.made


def test_ctrl_c_there_is_ctrl_c(tmp_path: Path, safelab: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(self: ForeignLauncher, jobs: object, initial_job_idx: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ForeignLauncher, "launch", stopped)
    done = safelab("train", "-m", *small_overrides(tmp_path), "arm=x", "seed=0,1", "hydra/launcher=foreign")
    assert done.code == 130, done
