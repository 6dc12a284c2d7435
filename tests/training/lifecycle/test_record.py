"""The commit that a run says it was made by."""

import subprocess
from pathlib import Path

import pytest

import safelab
from safelab.training.lifecycle.record import git_commit


def test_a_change_anywhere_in_the_package_is_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "src" / "safelab"
    (package / "training").mkdir(parents=True)
    for file in (package / "__init__.py", package / "training" / "loop.py", tmp_path / "README.md"):
        file.write_text("1\n")

    def git(*words: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        done = subprocess.run(["git", *identity, *words], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    monkeypatch.setattr(safelab, "__file__", str(package / "__init__.py"))
    assert git_commit() is None
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "a")
    commit = git("rev-parse", "HEAD")
    assert git_commit() == commit
    (tmp_path / "README.md").write_text("2\n")
    assert git_commit() == commit
    (package / "training" / "loop.py").write_text("2\n")
    assert git_commit() == f"{commit}+"
