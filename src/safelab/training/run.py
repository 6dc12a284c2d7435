"""One run from its directory's making to its last line: the rim around the loop."""

import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
import yaml

from safelab.errors import ConfigError, RunFailed
from safelab.runlog.flat import leaves
from safelab.runlog.schema import CHECKPOINT_DIR, CONFIG_FILE, RUN_FILE, RunInfo
from safelab.runlog.writer import RunWriter, read_info
from safelab.training import checkpoint
from safelab.training.components import Components
from safelab.training.interrupt import asked_to_stop
from safelab.training.loop import train_loop
from safelab.training.progress import display, notice
from safelab.training.settings import Settings
from safelab.training.state import TrainState, initial_state

LIBRARIES = ("safelab", "torch", "transformers", "hydra-core", "omegaconf", "numpy")

MAY_CHANGE = ("updates", "checkpoint", "samples", "tracker", "threads", "output_dir")
"""Keys that a run may go on with changed: none of them moves a number of the rows that are there."""


Ended = Literal["finished", "failed", "interrupted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended. ``final_reward``: mean reward of its last update, None if it made none."""

    status: Ended | Literal["skipped"]
    directory: Path
    reason: str | None
    final_reward: float | None


def is_finished(settings: Settings) -> bool:
    """Whether the run's directory holds all the updates that are asked for."""
    if not (settings.directory / RUN_FILE).exists():
        return False
    info = read_info(settings.directory)
    return info.status == "finished" and (info.last_update or 0) >= settings.updates - 1


def train(parts: Components, config: Mapping[str, Any], overrides: Sequence[str], command: str) -> Outcome:
    """Train to the last update, from the newest whole checkpoint if the directory holds an unfinished run.

    Raises:
        ConfigError: the directory holds a run of another configuration.
        DataError: the directory cannot be written, or another process trains there.
    """
    torch.set_num_threads(parts.settings.threads)
    started = time.perf_counter()
    state, writer = open_run(parts, config, overrides, command)
    status: Ended = "failed"
    reason: str | None = None
    row: Mapping[str, Any] = {}
    with writer:
        parts.tracker.start(writer.directory, config, writer.info.model_dump())
        try:
            status, reason, row = follow(parts, state, writer)
        except RunFailed as error:
            reason = str(error)
        except KeyboardInterrupt:
            status, reason = "interrupted", "stopped at once by a second signal"
        except BaseException as error:
            reason = f"{type(error).__name__}: {error}"
            raise
        finally:
            seconds = (writer.info.seconds or 0.0) + time.perf_counter() - started
            last = {"last_update": row["update"]} if row else {}
            writer.update_info(status=status, reason=reason, ended=now(), seconds=seconds, **last)
            parts.tracker.finish(status)
    return Outcome(
        status=status, directory=writer.directory, reason=reason, final_reward=row.get("reward/mean") if row else None
    )


def follow(parts: Components, state: TrainState, writer: RunWriter) -> tuple[Ended, str | None, Mapping[str, Any]]:
    """Write down what the loop yields until it ends, the guard objects, or a signal comes."""
    settings = parts.settings
    checkpoints = writer.directory / CHECKPOINT_DIR
    row: Mapping[str, Any] = {}
    title = f"{shortened(settings.arm)} seed {settings.seed}"
    with asked_to_stop() as signal_name, display(title, state.counters.update, settings.updates) as show:
        for step in train_loop(parts, state):
            state, row = step.state, step.row
            writer.row(row)
            writer.samples(row["update"], step.samples)
            for event in step.events:
                writer.event(event)
            parts.tracker.log(row)
            show(row)
            objection = parts.guard.verdict(row)
            if objection is not None:
                writer.event({"update": row["update"], "kind": "guard", "reason": objection})
                return "failed", f"stopped by the guard: {objection}", row
            stopping = signal_name()
            done = state.counters.update
            if (
                stopping
                or done == settings.updates
                or (settings.checkpoint.every and done % settings.checkpoint.every == 0)
            ):
                checkpoint.save(parts, state, checkpoints, settings.checkpoint.keep)
            if stopping and done < settings.updates:
                return "interrupted", f"{stopping} after update {row['update']}", row
    return "finished", None, row


def shortened(arm: str, width: int = 40) -> str:
    """An arm's name for a line on the terminal."""
    return arm if len(arm) <= width else f"{arm[: width - 1]}…"


def open_run(
    parts: Components, config: Mapping[str, Any], overrides: Sequence[str], command: str
) -> tuple[TrainState, RunWriter]:
    """A fresh run, or the newest whole checkpoint of the unfinished one that is there."""
    directory = parts.settings.directory
    state = initial_state(parts)
    if (directory / RUN_FILE).exists():
        refuse_other_config(directory, config)
        path, damaged = checkpoint.newest(directory / CHECKPOINT_DIR)
        for bad in damaged:
            notice(f"damaged checkpoint, passed over: {bad}")
        if path is not None:
            state = checkpoint.load(parts, state, path)
            writer = RunWriter.reopen(directory, state.counters.update)
            writer.update_info(
                status="running", updates=parts.settings.updates, pid=os.getpid(), reason=None, ended=None
            )
            return state, writer
    return state, RunWriter.create(directory, config, overrides, fresh_info(parts, overrides, command))


def refuse_other_config(directory: Path, config: Mapping[str, Any]) -> None:
    """Raise ConfigError, with the differences, unless the run there has this configuration."""
    there, here = leaves(yaml.safe_load((directory / CONFIG_FILE).read_text())), leaves(config)
    changed = sorted(
        key
        for key in there.keys() | here.keys()
        if there.get(key) != here.get(key) and key.split(".")[0] not in MAY_CHANGE
    )
    if changed:
        differences = "; ".join(f"{key}: {there.get(key)!r} there, {here.get(key)!r} now" for key in changed)
        raise ConfigError(
            f"{directory} must hold a run of this configuration, got another ({differences}); "
            "choose another experiment or arm, or remove that directory"
        )


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
        versions={"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
        git_commit=git_commit(),
        host=platform.node(),
        device=str(next(parts.policy.module.parameters()).device),
        pid=os.getpid(),
        started=now(),
    )


def git_commit() -> str | None:
    """The commit that the source was checked out from, with ``+`` if it was changed since; None outside a checkout."""
    source = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=source, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def now() -> str:
    """The present, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
