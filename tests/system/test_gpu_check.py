"""``scripts/gpu_check.sh`` on a CPU, at a toy's size: the checks pass and every column is there."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def gpu_check(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {**os.environ, "PYTHON": sys.executable, **environment}
    return subprocess.run(
        [str(ROOT / "scripts" / "gpu_check.sh"), *arguments],
        env=inherited, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_the_checks_pass_and_the_table_is_whole() -> None:
    done = gpu_check("--device", "cpu", "--tiny")
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


def test_without_a_gpu_it_says_so() -> None:
    done = gpu_check(CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 2
    assert done.stderr.strip() == "gpu_check needs a GPU, and torch sees none here; try --device cpu --tiny"
