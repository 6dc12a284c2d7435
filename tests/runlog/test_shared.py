"""What is written follows the umask, the weights with the rest; what may not be read is told as that."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from safelab.app.config.from_run import weights_of
from safelab.errors import DataError, OutputFailed
from safelab.pretrained.readable import check_readable
from safelab.runlog.durable import shared
from safelab.training.lifecycle import checkpoint
from safelab.world.cache import cached
from support.runs import run, small

NOBODY = 65534


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def nobody() -> Iterator[None]:
    """Root, who may read everything, is somebody else for a while."""
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(NOBODY)
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, which those of pytest are not."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def modes(directory: Path) -> dict[bool, set[int]]:
    """Whether it is a folder -> the permissions that are met."""
    found: dict[bool, set[int]] = {True: set(), False: set()}
    for path in directory.rglob("*"):
        found[path.is_dir()].add(stat.S_IMODE(path.stat().st_mode))
    return found


@pytest.mark.parametrize(
    ("mask", "file", "folder"), [(0o022, 0o644, 0o755), (0o002, 0o664, 0o775), (0o077, 0o600, 0o700)]
)
def test_a_runs_files_all_follow_the_umask(mask: int, file: int, folder: int, tmp_path: Path) -> None:
    with umask(mask):
        outcome, _ = run(small(tmp_path, "updates=1"))
    assert modes(outcome.directory) == {True: {folder}, False: {file}}
    assert list(outcome.directory.rglob("*.safetensors"))


def test_a_cache_can_be_shared(tmp_path: Path) -> None:
    def make(directory: Path) -> dict[str, float]:
        save_file({"weight": torch.ones(2)}, directory / "model.safetensors")
        return {}

    with umask(0o022):
        place = cached(tmp_path / "cache", "model", {"a": 1}, make, print)
    assert modes(place.parent) == {True: {0o755}, False: {0o644}}


def test_links_are_left_alone(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("")
    secret.chmod(0o600)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to(secret)
    shared(tmp_path / "folder")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_weights_that_may_not_be_read_are_not_told_as_missing(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(open_folder)  # a hub name is looked for below the current folder, which nobody must get into
    (open_folder / "model").mkdir()
    (open_folder / "model" / "model.safetensors").touch(mode=0o600)
    with (
        nobody(),
        pytest.raises(DataError, match=r"policy\.path must be readable, .* no permission to read .*tensors; "),
    ):
        check_readable(open_folder / "model", "policy.path")
    (open_folder / "model").chmod(0o700)
    with nobody(), pytest.raises(DataError, match=r"no permission to read [^ ]*/model; "):
        check_readable(open_folder / "model" / "below", "policy.path")
    with nobody():
        check_readable("someone/a-name-on-the-hub", "policy.path")
        check_readable(open_folder, "policy.path")


def test_a_checkpoint_that_may_not_be_read_is_not_a_damaged_one(open_folder: Path, tmp_path: Path) -> None:
    outcome, _ = run(small(tmp_path, "updates=1"))
    there = open_folder / "run"
    outcome.directory.rename(there)
    weights = there / "checkpoints" / "update_000001" / "tensors.safetensors"
    weights.chmod(0o000)
    with nobody(), pytest.raises(DataError, match=r"no permission to read .*tensors\.safetensors"):
        weights_of(there)
    weights.chmod(0o644)
    (there / "checkpoints").chmod(0o700)
    with nobody(), pytest.raises(PermissionError):
        checkpoint.newest(there / "checkpoints")


def test_a_full_disk_under_the_cache_is_one_message(tmp_path: Path) -> None:
    def make(directory: Path) -> dict[str, float]:
        (directory / "half").touch()
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    with pytest.raises(
        OutputFailed,
        match=r"the cache directory .* could not be written \(No space left on device\); free space there, or",
    ):
        cached(tmp_path / "cache", "model", {"a": 1}, make, print)
    assert not [path for path in (tmp_path / "cache").iterdir() if path.suffix != ".lock"]
