import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from safelab.app.config.compose import compose, opened, renamed
from safelab.app.config.jobs import to_job
from safelab.app.config.places import at_home, cache_directory
from safelab.errors import ConfigError

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


def test_every_path_below_a_home_is_one(tmp_path: Path) -> None:
    given = {"output_dir": "~/out", "data": {"path": "~/p.txt", "n": 1}, "reward": {"members": [{"path": "~/m"}, "~"]}}
    assert at_home(given) == {
        "output_dir": f"{tmp_path}/out",
        "data": {"path": f"{tmp_path}/p.txt", "n": 1},
        "reward": {"members": [{"path": f"{tmp_path}/m"}, str(tmp_path)]},
    }
    assert at_home({"arm": "~x", "text": "a ~/b"}) == {"arm": "~x", "text": "a ~/b"}


@pytest.mark.parametrize("key", ["output_dir", "output"])
def test_no_folder_is_made_with_such_a_name(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=f"{key} must not begin with ~ .*got '~nobody-here/x'"):
        at_home({key: "~nobody-here/x"})
    monkeypatch.setenv("SAFELAB_CACHE", "~nobody-here/x")
    with pytest.raises(ConfigError, match="SAFELAB_CACHE must not begin with ~"):
        cache_directory()


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("policy.path=~/m", "policy.path='~/m'"),
        ("policy.path=~/a,~/b c", "policy.path='~/a','~/b c'"),
        ("+x.path=~", "+x.path='~'"),
        ("policy.path='~/m'", "policy.path='~/m'"),
        ("~controller/gate", "~controller/gate"),
        ("+experiment=a", "+recipe=a"),
    ],
)
def test_hydra_gets_a_bare_home_in_quotes(given: str, read: str) -> None:
    assert renamed(given) == read
    assert OverridesParser.create().parse_override(read).input_line == read


def test_a_jobs_paths(tmp_path: Path) -> None:
    with opened() as hydra:
        job = to_job(compose(hydra, ["output_dir=~/out", "data=text", "data.path=~/p.txt", "arm=x"]))
    assert job.directory == tmp_path / "out" / "default" / "x" / "seed_0"
    assert job.config["data"]["path"] == f"{tmp_path}/p.txt"
