"""``scripts/gpu_check.sh`` on a CPU, at a toy's size: the checks pass and every column is there."""

import os
import subprocess
import sys
from pathlib import Path

import torch

from scripts.bench import gpu

ROOT = Path(__file__).parents[3]


def test_the_checks_pass_and_the_table_is_whole() -> None:
    done = subprocess.run(
        [str(ROOT / "scripts" / "gpu_check.sh"), "--device", "cpu", "--tiny"],
        env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("| ok |") == 4
    assert "FAILED" not in done.stdout
    row = next(line for line in done.stdout.splitlines() if line.startswith("| tiny, LoRA | 4 |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert len(cells) == 8
    numbers = [float(cell.rstrip("%").replace(",", "")) for cell in cells[2:]]
    assert all(number >= 0 for number in numbers)
    assert numbers[0] > 0
    assert numbers[2] > 0


def test_without_a_gpu_it_says_so(monkeypatch, capsys) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 2
    assert capsys.readouterr().err.strip() == "gpu_check needs a GPU, and torch sees none here; try --device cpu --tiny"
