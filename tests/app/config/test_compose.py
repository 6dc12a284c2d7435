"""A folder of the user's own: its files are read, or it is refused."""

from pathlib import Path

import pytest

from safelab.app.config.compose import compose, opened
from safelab.errors import ConfigError


def test_a_runs_folder_is_no_folder_of_groups(tmp_path: Path) -> None:
    for name in ("config.yaml", "run.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(ConfigError, match=r"`safelab reproduce .*` runs it again"), opened(str(tmp_path)):
        pass


def test_a_file_that_would_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "rollout").mkdir()
    (tmp_path / "rollout" / "hf.yaml").write_text("name: hf\n")
    (tmp_path / "rollout" / "mine.yaml").write_text("name: hf\n")
    said = r"^{} must not have files that are named as safelab's own, .* got rollout/hf.yaml in "
    with pytest.raises(ConfigError, match=said.format("--config-dir")), opened(str(tmp_path)):
        pass
    with opened() as hydra, pytest.raises(ConfigError, match=said.format("hydra.searchpath")):
        compose(hydra, [f"hydra.searchpath=[file://{tmp_path}]"])
