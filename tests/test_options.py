"""Options: paths are absolute in a run's record and never asked of the hub by mistake; faults name key and rule."""

from pathlib import Path

import pytest
from pydantic import Field, ValidationError

from safelab.options import LocalPath, Options, PathOrHub, describe, is_path, located


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


class Part(Options):
    gain: float = Field(gt=0)


class Whole(Options):
    inner: Part
    size: int


def test_faults_below_an_options_own_structure_name_the_whole_key() -> None:
    with pytest.raises(ValidationError) as error:
        Whole(inner={"gian": 1.0, "gain": -1.0}, size=1.5)
    assert sorted(describe(error.value, "top", Whole.model_fields)) == [
        "top.inner.gain must be > 0, got -1.0",
        "top.inner.gian must be a key of top.inner, and is none: did you mean 'gain'? known: gain",
        "top.size must be a valid integer, got 1.5",
    ]


def test_without_a_prefix_the_key_stands_alone() -> None:
    with pytest.raises(ValidationError) as error:
        Whole(inner={"gain": 1.0}, sise=2)
    assert describe(error.value, "", Whole.model_fields) == [
        "size must be given, it has no default",
        "sise must be a key of the configuration, and is none: did you mean 'size'? known: inner, size",
    ]


def test_a_value_where_keys_belong_names_the_keys() -> None:
    with pytest.raises(ValidationError) as error:
        Whole(inner="gold", size=2)
    assert describe(error.value, "", Whole.model_fields) == [
        "inner must be given by its own keys (inner.gain), got 'gold'"
    ]
