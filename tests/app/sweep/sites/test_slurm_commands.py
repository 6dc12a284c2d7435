"""What is read out of the answers of SLURM's commands, in words; a real SLURM is in ``tests/system/test_slurm.py``."""

from pathlib import Path

import pytest

from safelab.app.sweep.sites import slurm_commands
from safelab.errors import ConfigError

SCRIPT = """#!/bin/bash
#SBATCH --job-name=safelab-mine
#SBATCH --cpus-per-task=2
#SBATCH --gres=gpu:1
cd /home/me || exit
"""


@pytest.mark.parametrize(
    ("err", "said"),
    [
        (
            "sbatch: unrecognized option '--frobnicate=1'\nTry \"sbatch --help\" for more information\n",
            "unrecognized option '--frobnicate=1'; Try \"sbatch --help\" for more information",
        ),
        (
            "sbatch: error: Please name your group\nsbatch: error: Batch job submission failed: Unspecified error\n",
            "Please name your group; Batch job submission failed: Unspecified error",
        ),
    ],
)
def test_a_refusal_is_told_whole_with_what_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, err: str, said: str
) -> None:
    script = tmp_path / "array.sh"
    script.write_text(SCRIPT)
    monkeypatch.setattr(slurm_commands, "_call", lambda *words: (1, "", err))
    with pytest.raises(ConfigError) as told:
        slurm_commands.submit(script)
    rule = "hydra.launcher must describe jobs that SLURM takes, and sbatch says: "
    assert str(told.value) == f"{rule}{said} (asked for: --cpus-per-task=2 --gres=gpu:1)"
