"""Parameters that say where something lies: absolute in a run's record, and never asked of the hub by mistake."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from safelab.options import LocalPath, Options, PathOrHub, is_path, located


class Inner(Options):
    path: PathOrHub


class Places(Options):
    model: PathOrHub | None
    file: LocalPath
    inner: Inner
    text: str


def test_what_lies_here_becomes_absolute_and_a_hub_name_stays(tmp_path: Path) -> None:
    (tmp_path / "org" / "here").mkdir(parents=True)
    given = {"model": "org/here", "file": "p.txt", "inner": {"path": "org/there"}, "text": "org/here", "other": 1}
    assert located(Places, given, tmp_path) == {
        **given, "model": f"{tmp_path}/org/here", "file": f"{tmp_path}/p.txt"
    }  # fmt: skip
    absolute = {**given, "model": str(tmp_path), "file": "/p.txt", "inner": {"path": "../x"}}
    assert located(Places, absolute, tmp_path) == {**absolute, "inner": {"path": str(tmp_path.parent / "x")}}
    assert located(Places, {"model": None, "file": 3}, tmp_path) == {"model": None, "file": 3}


@pytest.mark.parametrize("text", ["./m", "../m", "~/m", "/m", "a/b/c", "."])
def test_a_path_is_told_from_a_name_on_the_hub(text: str) -> None:
    assert is_path(text)


@pytest.mark.parametrize("text", ["gpt2", "org/model", "org/model-1.5"])
def test_a_name_on_the_hub_is_none(text: str) -> None:
    assert not is_path(text)


def test_a_path_to_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"must be a path that exists or a name on the hub, got .*: nothing lies"):
        Inner(path=str(tmp_path / "gone"))
    assert Inner(path="org/model").path == "org/model"
    assert Inner(path=str(tmp_path)).path == str(tmp_path)
