"""The other side of the benchmark: what it needs, and how it takes turns. TRL itself lives elsewhere."""

import io
import sys
import time

import pytest
from scripts.bench.trl_worker import OneAtATime, main


def test_without_trl_it_says_in_one_message_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trl", None)  # as where it is not installed
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(SystemExit) as ended:
        main()
    assert str(ended.value.code).startswith("trl_worker needs TRL 1.12 (")
    assert "update.py --trl DIR" in str(ended.value.code)


def test_it_waits_for_a_line_before_each_update_and_ends_with_the_input(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("go\ngo\n"))
    turns = OneAtATime(time.perf_counter)
    turns.on_train_begin(None, None, None)
    turns.on_step_end(None, None, None)
    assert float(capsys.readouterr().out.removeprefix("ms ")) >= 0
    with pytest.raises(SystemExit) as ended:
        turns.on_step_end(None, None, None)
    assert ended.value.code == 0
