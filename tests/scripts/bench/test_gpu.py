"""``scripts/gpu_check.sh`` on a CPU, at a toy's size: the checks pass and every column is there."""

import os
import subprocess
import sys
from pathlib import Path

import torch

from safelab.training import loop
from scripts.bench import gpu

ROOT = Path(__file__).parents[3]


def test_the_script_asks_the_module() -> None:
    done = subprocess.run(
        [str(ROOT / "scripts" / "gpu_check.sh"), "--help"],
        env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "checks,sampling,updates" in done.stdout


def test_the_checks_pass_and_a_table_has_its_row(monkeypatch, capsys) -> None:
    monkeypatch.setattr(loop, "check_first_pass", loop.check_first_pass)  # one of the checks puts its own there
    code = gpu.main(["--device", "cpu", "--tiny", "--only", "checks,updates"])
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert printed.count("| ok |") == 6
    assert "FAILED" not in printed
    row = next(row for row in printed.splitlines() if row.startswith("| tiny"))
    updates = [cell.strip() for cell in row.strip("|").split("|")]
    # The first four rows of hh_lengths.csv: prompts of 205, 171, 96 and 21 tokens, answers of 28, 59, 65 and 85.
    assert updates[1:5] == ["4", "730", "16,384", "padded"]
    assert float(updates[5]) > 0


def test_without_a_gpu_it_says_so(monkeypatch, capsys) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 2
    assert capsys.readouterr().err.strip() == "gpu_check needs a GPU, and torch sees none here; try --device cpu --tiny"
