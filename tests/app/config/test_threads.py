"""Threads of a run that nobody has told how many: a core each, shared with the jobs beside it, kept when it goes on."""

from pathlib import Path

import pytest
import yaml

from safelab.app.config import threads
from safelab.app.config.compose import compose, opened
from safelab.app.config.jobs import to_job

OWN = {"policy": {"name": "causal_lm"}}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes one of so many cores with two logical processors each, a container's share and OMP_NUM_THREADS."""

    def make(cores: int, quota: str = "max 100000", asked: str = "") -> None:
        for number in range(2 * cores):
            folder = tmp_path / f"cpu{number}" / "topology"
            folder.mkdir(parents=True)
            (folder / "thread_siblings_list").write_text(f"{number % cores},{number % cores + cores}\n")
        (tmp_path / "cpu.max").write_text(quota + "\n")
        monkeypatch.setattr(threads, "TOPOLOGY", tmp_path)
        monkeypatch.setattr(threads, "QUOTA", tmp_path / "cpu.max")
        monkeypatch.setattr(threads, "ASKED", asked)
        monkeypatch.setattr(threads.os, "sched_getaffinity", lambda process: set(range(2 * cores)), raising=False)

    return make


@pytest.mark.parametrize(
    ("cores", "quota", "asked", "at_once", "expected"),
    [
        (8, "max 100000", "", 1, 8),
        (8, "max 100000", "", 3, 2),
        (8, "max 100000", "", 99, 1),
        (8, "350000 100000", "", 1, 3),  # three and a half cores' worth of time
        (8, "50000 100000", "", 1, 1),
        (8, "max 100000", "4", 1, 4),
        (8, "max 100000", "4", 4, 2),
        (2, "max 100000", "16", 1, 2),
        (2, "max 100000", "many", 1, 2),
    ],
)
def test_a_core_each(machine, tmp_path, cores: int, quota: str, asked: str, at_once: int, expected: int) -> None:
    machine(cores, quota, asked)
    assert threads.threads_of(OWN, tmp_path / "no run", at_once) == expected


def test_the_embedded_policy_has_one_on_every_machine(machine, tmp_path: Path) -> None:
    machine(8)
    assert threads.threads_of({"policy": {"name": "tiny"}}, tmp_path / "no run", 1) == 1


def test_a_run_goes_on_with_the_number_that_it_began_with(machine, tmp_path: Path) -> None:
    machine(8)
    words = [f"output_dir={tmp_path}", "arm=a"]
    with opened() as hydra:
        first = to_job(compose(hydra, words))
        first.directory.mkdir(parents=True)
        (first.directory / "config.yaml").write_text(yaml.safe_dump({**first.config, "threads": 3}))
        assert to_job(compose(hydra, words)).config["threads"] == 3
        assert to_job(compose(hydra, [*words, "threads=2"])).config["threads"] == 2
