"""Where nothing changed nothing is written anew; what changed is, and what is gone goes."""

from pathlib import Path

import pytest

from scripts.tools import update_flat_configs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(update_flat_configs, "FOLDER", tmp_path / "configs")
    monkeypatch.setattr(update_flat_configs, "algorithm_presets", lambda: {"ppo": "a: 1\n", "safe": "a: 2\n"})
    return tmp_path / "configs"


def texts(folder: Path) -> dict[str, str]:
    return {path.stem: path.read_text() for path in folder.glob("*.yaml")}


def test_files_become_the_presets(folder: Path, capsys) -> None:
    update_flat_configs.main()
    assert texts(folder) == {"ppo": "a: 1\n", "safe": "a: 2\n"}
    (folder / "gone.yaml").write_text("a: 3\n")
    (folder / "ppo.yaml").write_text("a: 0\n")
    update_flat_configs.main()
    assert texts(folder) == {"ppo": "a: 1\n", "safe": "a: 2\n"}
    assert capsys.readouterr().out == f"2 presets in {folder}\n" * 2


def test_what_is_as_it_was_is_not_touched(folder: Path) -> None:
    update_flat_configs.main()
    before = (folder / "ppo.yaml").stat().st_mtime_ns
    update_flat_configs.main()
    assert (folder / "ppo.yaml").stat().st_mtime_ns == before


def test_it_writes_where_the_committed_ones_are() -> None:
    assert (update_flat_configs.FOLDER / "ppo.yaml").is_file()
