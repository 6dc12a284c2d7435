"""Where runs stand: the last whole row, crashes, time left, and a process that is gone."""

import os
import platform
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from safelab.results.runs.overview import Standing, clock, overview, standings, summary

MakeRun = Callable[..., Path]


def test_the_last_row_and_the_time_left(make_run: MakeRun, tmp_path: Path) -> None:
    columns = {"kl/ref_token_exact": [0.1, 0.2], "crash/reward": [1, 0], "time/total_s": [0.5, 0.25]}
    make_run("safe", 3, [0.5, 0.75], columns, updates=10, status="running", pid=os.getpid(), host=platform.node())
    (run,) = standings([tmp_path])
    assert (run.arm, run.seed, run.status, run.done, run.planned) == ("safe", 3, "running", 2, 10)
    assert (run.reward, run.kl, run.crashes, run.left_s) == (0.75, 0.2, 1, 8 * 0.25)


def test_a_row_that_is_being_written_is_not_the_last(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("ppo", 0, [0.1, 0.2])
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"update": 2, "reward/me')
    assert standings([tmp_path])[0].reward == 0.2


def test_a_run_whose_process_ended_without_a_word_is_gone(make_run: MakeRun, tmp_path: Path) -> None:
    process = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(process, 0)
    make_run("ppo", 0, status="running", pid=process, host=platform.node())
    make_run("ppo", 1, status="running", pid=process, host="elsewhere")
    assert [run.status for run in standings([tmp_path])] == ["gone", "running"]


def test_a_run_that_cannot_be_read_is_listed(make_run: MakeRun, tmp_path: Path) -> None:
    (make_run("ppo", 0) / "run.json").write_text("{")
    make_run("ppo", 1)
    runs = standings([tmp_path])
    assert sorted(run.status for run in runs) == ["finished", "unreadable"]
    assert summary(runs) == "2 runs: 1 finished, 1 unreadable"


def test_a_hostile_name_is_text(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("[red]x[/red]\x1b[2J", 0, directory=tmp_path / "r")
    console = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(overview(standings([tmp_path]), console.width))
    shown = console.export_text()
    assert "[red]x[/red]" in shown
    assert "\x1b" not in shown


def test_it_fits_eighty_columns_with_names_that_do_not() -> None:
    run = Standing(
        directory="", experiment="e", arm="safe,controller-gate=none,controller-threshold=fixed,seedy", seed=12,
        status="interrupted", done=1999, planned=2000, reward=-0.123, kl=12.345, crashes=3, left_s=4000.0,
    )  # fmt: skip
    console = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(overview([run], console.width))
    lines = console.export_text().splitlines()
    assert "interrupted" in lines[1]
    assert "1:06:40" in lines[1]


@pytest.mark.parametrize(("seconds", "shown"), [(None, "–"), (65.2, "1:05"), (3661, "1:01:01"), (0.2, "0:00")])
def test_clock(seconds: float | None, shown: str) -> None:
    assert clock(seconds) == shown


def test_no_number_is_lost_in_eighty_columns() -> None:
    run = Standing(
        directory="", experiment="e", arm="x" * 200, seed=2**40, status="running", done=1, planned=10_000_000,
        reward=-1234567.891, kl=12345.678, crashes=0, left_s=1000.0 * 9_999_999,
    )  # fmt: skip
    console = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(overview([run], console.width))
    head, first, second = console.export_text().splitlines()
    assert max(map(len, (head, first, second))) <= 80
    assert head.split() == ["arm", "seed", "status", "updates", "reward", "KL", "crash", "left"]
    assert (first + second).count("…") == 1, "the name alone is cut"
    digits = "".join(char for char in first + second if char.isdigit())
    assert len(digits) == len("1099511627776110000000123456789112345678027777773000")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_every_number_is_whole_beside_names_of_a_hundred_characters(width: int) -> None:
    shared = ",data=jsonl,data-path=prompts.jsonl,policy=local,policy-path=a-model,reward=function,reward-name=mine"
    runs = [
        Standing(
            directory="", experiment="e", arm=(first + shared)[:100], seed=seed, status="finished", done=150,
            planned=150, reward=0.123, kl=1.345, crashes=3, left_s=None,
        )
        for first in ("safe", "ppo_matched") for seed in (0, 1)
    ]  # fmt: skip
    console = Console(width=width, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(overview(runs, console.width))
    head, *lines = console.export_text().splitlines()
    assert len(lines) == len(runs)
    assert max(map(len, (head, *lines))) <= width
    for run, line in zip(runs, lines, strict=True):
        assert line.split()[1:7] == [str(run.seed), "finished", "150/150", "0.123", "1.345", "3"]
        assert line.startswith(run.arm.split(",")[0][:4])
    assert len({line.split()[0] for line in lines}) == 2


def test_the_machine_is_named_where_it_is_another(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("ppo", 0, host=platform.node())
    assert "host" not in shown(tmp_path)
    make_run("ppo", 1, host="node7.cluster")
    assert shown(tmp_path).splitlines()[0].split()[-1] == "host"
    assert shown(tmp_path).splitlines()[2].split()[-1] == "node7"
    assert standings([tmp_path])[1].host == "node7.cluster"


def shown(folder: Path) -> str:
    console = Console(width=120)
    with console.capture() as captured:
        console.print(overview(standings([folder]), 120))
    return captured.get()
