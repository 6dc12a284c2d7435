"""What the script decides by itself; that its SLURM works is seen in ``tests/system/test_slurm.py``."""

import socket
import subprocess
from pathlib import Path

import pytest

from scripts.tools import slurm


def test_ports_are_free_and_differ() -> None:
    ports = slurm.free_ports(3)
    assert len({*ports}) == 3
    for port in ports:
        socket.create_server(("127.0.0.1", port)).close()


def test_where_it_cannot_be_had_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(slurm.shutil, "which", lambda name: None)
    assert slurm.main([str(tmp_path / "slurm")]) == 1
    said = capsys.readouterr().out
    assert said == "SLURM cannot be had, its tests will be skipped: there is neither SLURM nor apt-get here\n"
    assert not (tmp_path / "slurm").exists()


def test_a_download_that_fails_is_tried_with_new_lists_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def run(words: list[str], **given: object) -> subprocess.CompletedProcess:
        asked.append(next(word for word in words if word in ("download", "update")))
        return subprocess.CompletedProcess(words, 100, "", "E: no network\n")

    monkeypatch.setattr(slurm.shutil, "which", lambda name: None if name == "slurmctld" else f"/usr/bin/{name}")
    monkeypatch.setattr(slurm.subprocess, "run", run)
    assert slurm.unpack(tmp_path / "slurm") == "apt-get cannot download its packages: E: no network"
    assert asked == ["download", "update", "download"]
    assert [*(tmp_path / "slurm").iterdir()] == []


def test_what_is_there_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "root").mkdir()
    monkeypatch.setattr(slurm.subprocess, "run", lambda *words, **given: pytest.fail("nothing was to be run"))
    assert slurm.unpack(tmp_path) is None
