import sys
from pathlib import Path

import pytest

from safelab.app.config.places import cache_directory

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the folder of another system is its own")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SAFELAB_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_the_users_own_choice_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("SAFELAB_CACHE", "~/worlds")
    assert cache_directory() == tmp_path / "worlds"


@LINUX
@pytest.mark.parametrize("xdg", [None, ""])
def test_else_it_is_in_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, xdg: str | None) -> None:
    if xdg is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    assert cache_directory() == tmp_path / ".cache" / "safelab"


@LINUX
def test_or_where_the_users_caches_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "xdg" / "safelab"


def test_nothing_is_made_by_asking(tmp_path: Path) -> None:
    cache_directory()
    assert list(tmp_path.iterdir()) == []
