"""What ``run.json`` says of a run: of the code and versions that make its numbers, where, and since when."""

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import safelab
from safelab.runlog.flat import leaves
from safelab.runlog.schema import RunInfo
from safelab.training.components import Components
from safelab.training.lifecycle.progress import notice

LIBRARIES = ("torch", "transformers", "peft", "hydra-core", "omegaconf", "numpy")


def fresh_info(parts: Components, overrides: Sequence[str], command: str) -> RunInfo:
    """``run.json`` of a run that begins now."""
    settings = parts.settings
    return RunInfo(
        status="running",
        experiment=settings.experiment,
        arm=settings.arm,
        seed=settings.seed,
        updates=settings.updates,
        overrides=list(overrides),
        command=command,
        tags=parts.tracker.tags,
        notes=parts.tracker.notes,
        versions=versions(),
        git_commit=git_commit(),
        folder=os.getcwd(),
        host=platform.node(),
        device=str(next(parts.policy.module.parameters()).device),
        pid=os.getpid(),
        started=now(),
    )


def versions() -> dict[str, str]:
    """Of Python and of the libraries that make the numbers."""
    here = {"python": platform.python_version(), "safelab": safelab.__version__}
    return {**here, **{name: version(name) for name in LIBRARIES}}


def went_on_with(info: RunInfo, update: int) -> list[dict[str, Any]]:
    """What the record says of other code and versions, and this process's, if they differ; then it is told."""
    before = info.went_on_with[-1] if info.went_on_with else {"versions": info.versions, "git_commit": info.git_commit}
    here = {"versions": versions(), "git_commit": git_commit()}
    then, now_with = leaves(before), leaves(here)
    differing = [
        f"{key.removeprefix('versions.')} {then.get(key)} then, {value} now"
        for key, value in now_with.items()
        if then.get(key) != value
    ]
    if not differing:
        return info.went_on_with
    notice(f"from update {update} on other code goes on with this run than before: {'; '.join(differing)}")
    return [*info.went_on_with, {"update": update, "at": now(), **here}]


def git_commit() -> str | None:
    """The commit that the source was checked out from, with ``+`` if it was changed since; None outside a checkout."""
    source = Path(safelab.__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=source, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def now() -> str:
    """The present, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
