"""The groups are those that Hydra lists, the user's own among them."""

from pathlib import Path

import pytest

from safelab.app.config.compose import opened
from safelab.app.config.groups import groups_of


def test_they_are_those_of_hydra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf" / "mine" / "inner").mkdir(parents=True)
    (tmp_path / "conf" / "mine" / "inner" / "one.yaml").write_text("a: 1\n")
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "first.yaml").write_text("# @package _global_\nseed: 1\n")
    monkeypatch.chdir(tmp_path)
    with opened("conf") as hydra:
        found = groups_of(hydra)
        assert found == [*hydra.list_all_config_groups()]
    assert {"mine/inner", "controller/gate", "hydra/launcher", "recipe"} <= {*found}
    assert "mine" not in found, "it has no option of its own"
