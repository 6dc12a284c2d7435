"""Turns of workers, and what the ratios of their rounds say."""

import sys

import numpy
import pytest

from scripts.bench import turns

ECHO = "import sys\nfor number, line in enumerate(sys.stdin): print('warned'); print('ms', number, flush=True)"


def test_each_worker_works_once_a_round_and_the_first_two_rounds_do_not_count() -> None:
    workers = {"one": turns.Worker(sys.executable, "-c", ECHO), "two": turns.Worker(sys.executable, "-c", ECHO)}
    assert turns.take_turns(workers, 3) == {"one": [2.0, 3.0, 4.0], "two": [2.0, 3.0, 4.0]}
    assert [worker.process.returncode for worker in workers.values()] == [0, 0]


def test_a_worker_imports_the_code_of_its_tree(tmp_path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "told.py").write_text("TIME = 12.5")
    worker = turns.Worker(sys.executable, "-c", "input(); import told; print('ms', told.TIME)", tree=tmp_path)
    assert worker() == 12.5
    worker.close()


def test_a_worker_that_ends_is_told() -> None:
    with pytest.raises(SystemExit, match=r"a worker ended: .* -c pass"):
        turns.Worker(sys.executable, "-c", "import sys; sys.stdin.readline()", "-c pass")()


def test_a_ratio_by_hand() -> None:
    found = turns.ratio_of([10, 40, 30, 20, 50, 60, 70, 90, 80], [10] * 9)
    # Of nine rounds the second and the eighth: the true median is outside with 2 (1 + 9) / 512 = 3.9 %.
    assert (found.ratio, found.quartiles, found.low, found.high) == (5.0, (3.0, 7.0), 2.0, 8.0)
    assert str(found) == "5.000 [3.000, 7.000]"


@pytest.mark.parametrize("rounds", [6, 9, 11, 15])
def test_the_interval_holds_the_true_median_as_often_as_it_says(rounds: int) -> None:
    draws = numpy.random.default_rng(0).lognormal(size=(2000, rounds))
    held = [found.low <= 1 <= found.high for found in (turns.ratio_of(row, [1.0] * rounds) for row in draws)]
    assert 0.95 - 3 * (0.05 * 0.95 / 2000) ** 0.5 <= numpy.mean(held) < 0.995
