"""``safelab audit`` as a user calls it: the exit code says whether every term acts."""

from pathlib import Path

import pytest

from safelab.app.cli import main
from support.models import model_directory


def arguments(tmp_path: Path, *overrides: str) -> list[str]:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a b c\nd e\nf\n")
    return [
        "audit",
        "policy=local",
        f"policy.path={model_directory()}",
        "data=text",
        f"data.path={prompts}",
        "reward=function",
        "reward.name=support.runs:share_of_good",
        "rollout.max_new_tokens=6",
        "--batches",
        "16",
        *overrides,
    ]


def test_the_released_penalty_is_marked(tmp_path: Path, capsys) -> None:
    assert main(arguments(tmp_path, "algorithm=safe_released")) == 1
    printed = capsys.readouterr().out
    assert "NO" in printed
    assert "no weight" in printed


def test_the_mended_one_passes(tmp_path: Path, capsys) -> None:
    assert main(arguments(tmp_path, "algorithm=safe")) == 0
    assert "NO" not in capsys.readouterr().out


@pytest.mark.parametrize("flag", [["--batches", "1"], ["--kl", "-1"], ["--nonsense"]])
def test_bad_flags_are_refused(flag: list[str], tmp_path: Path, capsys) -> None:
    assert main([*arguments(tmp_path), *flag]) == 2
    assert "error:" in capsys.readouterr().err
