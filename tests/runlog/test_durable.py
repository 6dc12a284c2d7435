import errno
import os
from pathlib import Path

import pytest

from safelab.errors import OutputFailed
from safelab.runlog import durable
from safelab.runlog.durable import as_os_error, persistently, replace_text


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "FIRST_PAUSE_S", 0.0)


def failing(times: int):
    """Fails ``times`` times with a full disk, then gives the number of tries."""
    tries = []

    def act() -> int:
        tries.append(1)
        if len(tries) <= times:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return len(tries)

    return act


def test_what_passes_is_tried_again_and_told(tmp_path: Path) -> None:
    said: list[str] = []
    assert persistently(tmp_path, failing(3), said.append) == 4
    assert len(said) == 3
    assert said[0] == f"{tmp_path} could not be written (No space left on device); trying again in 0 s"


def test_after_the_last_try_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(OutputFailed, match=r"in 4 tries \(No space left on device\); free space or mend the folder"):
        persistently(tmp_path, failing(4), lambda text: None)


def test_only_the_operating_systems_errors_are_tried_again(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        persistently(tmp_path, lambda: {}["a fault of the program"], lambda text: None)


def test_an_error_of_a_rust_writer_is_the_error_that_it_names(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as raised, as_os_error(tmp_path):
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert raised.value.errno == errno.ENOSPC
    with pytest.raises(RuntimeError, match="something else"), as_os_error(tmp_path):
        raise RuntimeError("something else")


def test_the_libraries_do_raise_such_errors() -> None:
    """If they change what they say, ``as_os_error`` must follow."""
    import torch
    from safetensors.torch import save_file

    for act in (
        lambda: save_file({"a": torch.zeros(1)}, "/proc/safelab/none"),
        lambda: __import__("tokenizers").Tokenizer.from_str(EMPTY).save("/proc/safelab/none"),
    ):
        with pytest.raises(OSError, match="No such file"), as_os_error(Path("/proc/safelab/none")):
            act()


EMPTY = '{"version":"1.0","added_tokens":[],"model":{"type":"WordLevel","vocab":{"a":0},"unk_token":"a"}}'


def test_a_text_that_cannot_reach_the_disk_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.json"
    replace_text(path, "old")

    def failing_sync(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", failing_sync)
    with pytest.raises(OSError, match="Input/output error"):
        replace_text(path, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]
    assert path.read_text() == "old"
