"""The table in a terminal: numbers are there at every width, whatever the arms are called."""

import os
from pathlib import Path

import pytest
from rich.console import Console

from safelab.results.model import Report
from safelab.results.page.document import Choices, build_report
from safelab.results.published.read import read
from safelab.results.runs.load import load
from safelab.results.words.terminal import close, show

from ..conftest import MakeRun

SHARED = ",policy=local,policy-path=/models/qwen,data=jsonl,data-path=prompts,reward=function,reward-name=mine"
NAMES = {
    "overrides": [f"{first}{SHARED}"[:100].ljust(100, "x") for first in ("safe", "ppo_matched", "safe,gate=none")],
    "one word": [char * 100 for char in "abc"],
    "alike": ["m" * 60 + char + "n" * 39 for char in "abc"],
}


def report(make_run: MakeRun, tmp_path: Path, names: list[str]) -> Report:
    for number, arm in enumerate(names):
        for seed in (0, 1, 2):
            columns = {"kl/ref_token_exact": [0.1, 0.123 + 0.01 * seed], "crash/reward": [0, 0]}
            make_run(
                arm, seed, [0.5 + 0.1 * number, 0.625 + 0.01 * seed], columns, directory=tmp_path / f"{number}/{seed}"
            )
    return build_report(load([tmp_path]), Choices())


def shown(found: Report, width: int) -> list[str]:
    console = Console(width=width, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    show(found, console)
    return console.export_text().splitlines()


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("kind", NAMES)
def test_every_number_is_there_beside_names_of_a_hundred_characters(
    make_run: MakeRun, tmp_path: Path, kind: str, width: int
) -> None:
    assert {len(name) for name in NAMES[kind]} == {100}
    found = report(make_run, tmp_path, NAMES[kind])
    lines = shown(found, width)
    assert max(map(len, lines)) <= width
    table = "\n".join(lines).split(" is ")[0]
    for arm in found.arms:
        own = arm.estimates["reward_mean"]
        assert f"{own.mean:.3f}" in table
        assert f"[{own.low:.3f}, {own.high:.3f}]" in table
    assert table.count("0 of 3") == 3
    assert "….." not in table


def test_a_name_that_is_cut_stands_whole_below(make_run: MakeRun, tmp_path: Path) -> None:
    lines = shown(report(make_run, tmp_path, NAMES["one word"]), 200)
    assert f"{'a' * 16}…{'a' * 15} is {'a' * 100}" in lines


def test_the_last_lines_say_what_was_found_and_what_to_try(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("ppo", 0, [0.5])
    make_run("safe", 0, [0.7])
    make_run("safe", 1, [0.9, 0.9], status="failed", reason="ValueError: no", updates=4)
    found = build_report(load([tmp_path]), Choices(baseline="ppo"))
    console = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    page = tmp_path / ("deep/" * 20) / "index.html"
    close(found, page, [("safelab runs x", "where each run stands")], console)
    lines = console.export_text().splitlines()
    assert lines[0].startswith("Found: In training-average reward, safe has a single seed in common with ppo")
    said = " ".join(" ".join(lines).split())
    assert "But: Left out, because they did not finish: 1 of 2 runs of safe (failed after 2 of 4 updates: Val" in said
    assert lines[-2:] == [f"Page: {page}", "Next: safelab runs x  # where each run stands"]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_paper_stands_below_with_what_differs(make_run: MakeRun, tmp_path: Path, width: int) -> None:
    for seed in (0, 1, 2):
        make_run("ppo", seed, [0.5, 0.6 + 0.1 * seed])
        make_run("safe", seed, [0.6, 0.7])
    console = Console(width=width, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    show(build_report(load([tmp_path]), Choices(paper=read("safe_paper"))), console)
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    said = " ".join(" ".join(lines).split())
    assert "0.725" in said
    assert "of 6 comparisons with published numbers, " in said
    assert "Differs: The released code sets no seed" in said
    assert "gain in training-average reward: published without an interval" in said
