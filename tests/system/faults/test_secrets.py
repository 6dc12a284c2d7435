"""No network unless asked; keys stay in the environment; what a model wrote drives no terminal."""

import socket
from pathlib import Path
from typing import Any

import pytest

from support.commands import call_here, small_overrides

KEY = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every address that anything tries to reach; none is reached."""
    tried: list[Any] = []

    def refuse(self: socket.socket, address: Any) -> None:
        tried.append(address)
        raise OSError("no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tried


def test_a_run_and_its_report_reach_for_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], no_network: list[Any]
) -> None:
    words = small_overrides(tmp_path)
    assert call_here(tmp_path, monkeypatch, capfd, "train", *words, "updates=1").code == 0
    assert call_here(tmp_path, monkeypatch, capfd, "report", "outputs").code == 0
    assert no_network == []


def test_a_key_in_the_environment_reaches_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("HF_TOKEN", KEY)
    words = [*small_overrides(tmp_path), "updates=1", "tracker=wandb"]
    assert call_here(tmp_path, monkeypatch, capfd, "train", *words).code == 0
    files = [path for path in (tmp_path / "outputs").rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" for path in files)
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []


@pytest.mark.parametrize("word", ["experiment=../../away", "arm=a/b", "arm=..", "experiment=''"])
def test_a_configuration_cannot_lead_out_of_the_output_directory(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    done = call_here(tmp_path, monkeypatch, capfd, "train", *small_overrides(tmp_path), word)
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert done.made == ["prompts.txt"]
