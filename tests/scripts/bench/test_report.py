"""The benchmark of the report on a handful of runs: three reports, the third after ten runs more."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

from safelab.app import cli
from scripts.bench import report


def test_three_reports_are_timed(tmp_path: Path, monkeypatch, capsys) -> None:
    root = tmp_path / "runs"

    def here(command: list[str], **how: object) -> None:
        assert cli.main(command[1:]) == 0

    processes = SimpleNamespace(run=here, DEVNULL=None)  # a report in this process, in place of one of its own
    monkeypatch.setattr(report, "subprocess", processes)
    monkeypatch.setattr(sys, "argv", ["report.py", str(root), "--runs", "2", "--updates", "12", "--metrics", "24"])
    report.main()
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["runs"] == 2
    assert min(figures[name] for name in ("first_s", "unchanged_s", "ten_more_s")) > 0
    assert (root / "report" / "index.html").is_file()
    assert len(list(root.glob("*/*/run.json"))) == 12
    assert len((root / "arm_00" / "seed_0" / "metrics.jsonl").read_text().splitlines()) == 12
