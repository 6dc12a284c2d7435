"""Two presets, trained twice, have the same rows; a number that is changed is found."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from safelab.app import cli
from scripts.tools import preset_rows, tiny


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Made in this process: what ``make`` hands to the command of a version is given to ours."""
    world = tmp_path_factory.mktemp("rows")
    sizes = [*tiny.overrides(world), "hydra/launcher=basic"]
    made = []

    def here(command: list[str], check: bool):
        assert (command[0], check) == ("the command", False)
        made.append(cli.main(command[1:]))
        return SimpleNamespace(returncode=made[-1])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preset_rows, "subprocess", SimpleNamespace(run=here))
        for name in ("before", "after"):
            assert preset_rows.make(world / name, "the command", 2, ["ppo", "rloo"], sizes) == 0
    assert made == [0, 0]
    return world / "before", world / "after"


def compared(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> int:
    monkeypatch.setattr(sys, "argv", ["preset_rows.py", "compare", *map(str, folders)])
    return preset_rows.main()


def test_the_same_code_makes_the_same_rows(folders, monkeypatch, capsys) -> None:
    assert compared(monkeypatch, *folders) == 0
    assert capsys.readouterr().out == "2 presets have the same rows\n"


def test_a_changed_number_a_lost_row_and_an_empty_folder_are_told(folders, monkeypatch, capsys, tmp_path) -> None:
    before, after = folders
    (file,) = after.glob("rows/ppo*/seed_0/metrics.jsonl")
    arm = file.parts[-3]
    whole = file.read_text()
    lines = [json.loads(line) for line in whole.splitlines()]
    was = lines[1]["reward/mean"]
    lines[1]["reward/mean"] = was + 1e-12
    lines[0]["time/total_s"] = 99.0  # a clock's
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert compared(monkeypatch, before, after) == 1
    assert capsys.readouterr().out == f"{arm} update 1: reward/mean {was!r} before, {was + 1e-12!r} after\n"
    file.write_text(whole.splitlines(keepends=True)[0])
    assert compared(monkeypatch, before, after) == 1
    assert capsys.readouterr().out == f"{arm}: 2 rows before, 1 after\n"
    file.write_text(whole)
    assert compared(monkeypatch, tmp_path / "none", tmp_path / "none") == 1


def test_all_presets_are_meant_if_none_is_named() -> None:
    assert {"ppo", "safe", "dpo"} <= {*preset_rows.presets()}
