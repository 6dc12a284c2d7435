from pathlib import Path

from safelab.results.page.document import Choices, build_report
from safelab.results.page.plots import phase_lines
from safelab.results.runs.load import load

from ..conftest import MakeRun


def test_the_phase_of_most_seeds_in_spans(make_run: MakeRun, tmp_path: Path) -> None:
    for seed, names in enumerate(("aabbb", "abbba", "aabba")):
        make_run("safe", seed, rewards=[0.5] * 5, columns={"controller/phase": list(names)})
    make_run("ppo", 0, rewards=[0.5] * 5)
    report = build_report(load([tmp_path]), Choices())
    (line,) = report.phases
    assert (line.arm, line.first, line.last, line.phase) == ("safe", [0, 2, 4], [1, 3, 4], ["a", "b", "a"])
    first, second = phase_lines(report)[0]["traces"]
    assert (first["name"], first["x"]) == ("a", [0, 2, None, 4, 5, None])
    assert (second["name"], second["x"]) == ("b", [2, 4, None])


def test_a_phase_that_never_changes_is_not_drawn(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("ppo", 0, rewards=[0.5] * 3, columns={"controller/phase": ["none"] * 3})
    report = build_report(load([tmp_path]), Choices())
    assert report.phases == []
    assert phase_lines(report) == []
