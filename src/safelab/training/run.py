"""One run from its directory's making to its last line: the rim around the loop."""

import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
import yaml

from safelab.errors import ConfigError, RewardFailed, RunFailed
from safelab.runlog.flat import leaves
from safelab.runlog.schema import CHECKPOINT_DIR, CONFIG_FILE, RUN_FILE, RunInfo
from safelab.runlog.writer import RunWriter, read_info, replace_text
from safelab.training import checkpoint
from safelab.training.components import Components
from safelab.training.interrupt import asked_to_stop
from safelab.training.loop import train_loop
from safelab.training.model_card import policy_card
from safelab.training.offline import update_of
from safelab.training.progress import display, notice
from safelab.training.settings import Settings
from safelab.training.state import TrainState, initial_state

LIBRARIES = ("safelab", "torch", "transformers", "peft", "hydra-core", "omegaconf", "numpy")

MAY_CHANGE = ("updates", "checkpoint", "samples", "tracker", "threads", "output_dir", "resume", "limit")
"""Keys that a run may go on with changed: none of them moves a number of the rows that are there."""


Ended = Literal["finished", "failed", "diverged", "interrupted"]

FAILED_BATCH = "failed_reward.json"
"""Beside ``run.json``: the prompts and responses for which no reward could be had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended. ``final_reward``: mean reward of its last update, None if it made none.

    ``expected``: whether an interrupted run ended as ``limit.minutes`` asked.
    """

    status: Ended | Literal["skipped"]
    directory: Path
    reason: str | None
    final_reward: float | None
    expected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How following a run ended: status, why, its last row."""

    status: Ended
    reason: str | None
    row: Mapping[str, Any]
    expected: bool = False


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
    end = End(status="failed", reason=None, row={})
    with writer:
        parts.tracker.start(writer.directory, config, writer.info.model_dump())
        try:
            end = follow(parts, state, writer)
        except RunFailed as error:
            end = replace(end, reason=str(error))
        except KeyboardInterrupt:
            end = replace(end, status="interrupted", reason="stopped at once by a second signal")
        except BaseException as error:
            end = replace(end, reason=f"{type(error).__name__}: {error}")
            raise
        finally:
            seconds = (writer.info.seconds or 0.0) + time.perf_counter() - started
            last = {"last_update": end.row["update"]} if end.row else {}
            writer.update_info(status=end.status, reason=end.reason, ended=now(), seconds=seconds, **last)
            parts.tracker.finish(end.status)
    return Outcome(
        status=end.status,
        directory=writer.directory,
        reason=end.reason,
        final_reward=end.row.get("reward/mean"),
        expected=end.expected,
    )


def follow(parts: Components, state: TrainState, writer: RunWriter) -> End:
    """Write down what the loop yields until it ends, the guard objects, the time is up, or a signal comes."""
    settings = parts.settings
    checkpoints = writer.directory / CHECKPOINT_DIR
    began = time.monotonic()
    row: Mapping[str, Any] = {}
    title = f"{shortened(settings.arm)} seed {settings.seed}"

    def keep() -> None:
        checkpoint.save(parts, state, checkpoints, settings.checkpoint.keep, policy_card(writer.directory))

    with asked_to_stop() as signal_name, display(title, state.counters.update, settings.updates) as show:
        try:
            for step in train_loop(parts, state, update_of(parts)):
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
                    return End(status="diverged", reason=f"stopped by the guard: {objection}", row=row)
                done = state.counters.update
                late = settings.limit.minutes is not None and time.monotonic() - began >= 60 * settings.limit.minutes
                stopping = signal_name() or (f"limit.minutes={settings.limit.minutes:g} was reached" if late else None)
                every = settings.checkpoint.every
                if stopping or done == settings.updates or (every and done % every == 0):
                    keep()
                if stopping and done < settings.updates:
                    reason = f"{stopping} after update {row['update']}"
                    return End(status="interrupted", reason=reason, row=row, expected=signal_name() is None)
        except RewardFailed as error:
            # Nothing has moved since the last update, so what was trained is kept, with the batch to look at.
            if state.counters.update > 0:
                keep()
            replace_text(writer.directory / FAILED_BATCH, json.dumps(error.batch, indent=1) + "\n")
            shown = f"{error}; the batch is in {FAILED_BATCH}, and the same command goes on from the last update"
            return End(status="failed", reason=shown, row=row)
    return End(status="finished", reason=None, row=row)


def shortened(arm: str, width: int = 40) -> str:
    """An arm's name for a line on the terminal."""
    return arm if len(arm) <= width else f"{arm[: width - 1]}…"


def open_run(
    parts: Components, config: Mapping[str, Any], overrides: Sequence[str], command: str
) -> tuple[TrainState, RunWriter]:
    """A fresh run, or the newest whole checkpoint of the unfinished one that is there."""
    settings = parts.settings
    directory = settings.directory
    state = initial_state(parts)
    changes = changed_keys(directory, config)
    path, damaged = checkpoint.newest(directory / CHECKPOINT_DIR)
    for bad in damaged:
        notice(f"damaged checkpoint, passed over: {bad}")
    if path is None or not (directory / RUN_FILE).exists():
        if settings.resume.mode == "must":
            raise ConfigError(
                f"resume must be auto or never, got must: {directory} holds no run with a whole checkpoint"
            )
        return state, RunWriter.create(directory, config, overrides, fresh_info(parts, overrides, command))
    state = checkpoint.load(parts, state, path, saved_rates=not any(key.startswith("optimizer.") for key in changes))
    writer = RunWriter.reopen(directory, state.counters.update)
    writer.update_info(status="running", updates=settings.updates, pid=os.getpid(), reason=None, ended=None)
    if changes:
        writer.event({"update": state.counters.update, "kind": "config_changed", "changes": changes})
        writer.replace_config(config)
    return state, writer


def changed_keys(directory: Path, config: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What ``resume.allow`` lets differ from the run that is there: key to [there, now]; empty where there is none.

    Raises:
        ConfigError: another key differs, or ``resume`` is ``never`` and a run is there.
    """
    if not (directory / RUN_FILE).exists():
        return {}
    if config["resume"]["mode"] == "never":
        raise ConfigError(
            f"resume must be auto or must, got never: {directory} holds a run; choose another arm, experiment or "
            "output_dir, or remove it"
        )
    there, here = leaves(yaml.safe_load((directory / CONFIG_FILE).read_text())), leaves(config)
    changed = sorted(
        key
        for key in there.keys() | here.keys()
        if there.get(key) != here.get(key) and key.split(".")[0] not in MAY_CHANGE
    )
    allowed = config["resume"]["allow"]
    refused = [key for key in changed if not any(key == name or key.startswith(f"{name}.") for name in allowed)]
    if refused:
        differences = "; ".join(f"{key}: {there.get(key)!r} there, {here.get(key)!r} now" for key in refused)
        raise ConfigError(
            f"{directory} must hold a run of this configuration, got another ({differences}); choose another "
            f"experiment or arm, remove that directory, or go on all the same with 'resume.allow=[{','.join(refused)}]'"
        )
    return {key: [there.get(key), here.get(key)] for key in changed}


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
