"""The benchmark of ranks: what counts of a run's rows, the table, and one real run of two processes."""

from dataclasses import replace
from pathlib import Path

import pytest
from scripts.bench.ranks import Measured

from scripts.bench import ranks


def test_the_first_updates_do_not_count_and_the_share_is_of_all_seconds() -> None:
    rows = [{"time/total_s": total, "time/exchange_s": 0.5} for total in (90.0, 80.0, 1.0, 4.0, 2.0)]
    assert ranks.measured(rows) == Measured(seconds=2.0, share=1.5 / 7)
    alone = [{"time/total_s": 1.0}] * 3
    assert ranks.measured(alone) == Measured(seconds=1.0, share=0.0)


def test_every_round_has_each_way_and_ratios_are_those_of_the_rounds(monkeypatch, capsys) -> None:
    asked = []

    def measured(overrides: list[str], size: int, threads: int, updates: int) -> Measured:
        asked.append((size, threads))
        # Each round slower than the one before; two ranks take half of what two threads do.
        return Measured(seconds=(1 + (len(asked) - 1) // 3) * (2.0 if size == 1 else 1.0), share=0.25 * (size - 1))

    monkeypatch.setattr(ranks, "run", measured)
    ranks.main(["--policy", "embedded", "--rounds", "3"])
    said = capsys.readouterr().out
    assert [set(asked[start : start + 3]) for start in (0, 3, 6)] == [set(ranks.WAYS)] * 3
    assert "`python -m scripts.bench.ranks --policy embedded --rounds 3` at " in said
    assert "| embedded | 1 | 2 | 4.000 | 1.000 [1.000, 1.000] | 0.0% |" in said
    assert "| embedded | 2 | 1 | 2.000 | 0.500 [0.500, 0.500] | 25.0% |" in said


def test_a_run_of_two_processes_says_what_its_exchanges_took(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(ranks, "LLAMA", replace(ranks.LLAMA, width=16, layers=1, vocabulary=512, batch=4, response=4))
    found = ranks.run(ranks.overrides_of("llama", tmp_path), 2, 1, updates=3)
    assert 0 < found.share < 1
    assert found.seconds > 0


def test_what_cannot_be_measured_is_refused(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        ranks.main(["--updates", "2"])
    assert ended.value.code == 2
    assert "--updates must be above 2, got 2" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="ended with code 2"):
        ranks.run(["nonsense=1"], 1, 1, 3)
