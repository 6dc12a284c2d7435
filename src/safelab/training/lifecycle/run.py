"""One run from the making of its directory to its last row: all that stands around the loop."""

import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from safelab.errors import ConfigError, DataError, OutputFailed, OwnCodeFailed, RankLost, SafelabError
from safelab.foreign import passed_through, told
from safelab.runlog.fingerprints import changed_inputs, taken, text_of
from safelab.runlog.flat import leaves
from safelab.runlog.keys import HOW_RECORDED, is_among, not_allowed
from safelab.runlog.lines import last_update
from safelab.runlog.recorded import binds, read_config
from safelab.runlog.schema import CHECKPOINT_DIR, INPUTS_FILE, RUN_FILE, RunInfo
from safelab.runlog.writer import RunWriter, read_info, take
from safelab.training.components import Components
from safelab.training.lifecycle import checkpoint, orders
from safelab.training.lifecycle.follow import End, Ended, follow
from safelab.training.lifecycle.owner import check_owner, new_id
from safelab.training.lifecycle.progress import notice
from safelab.training.lifecycle.record import fresh_info, now, went_on_with
from safelab.training.lifecycle.recovery import events
from safelab.training.lifecycle.told import idle_correction, lost_lines, plain_chat
from safelab.training.rates import follow_updates
from safelab.training.settings import Settings
from safelab.training.state import TrainState, initial_state

MAY_CHANGE = (*HOW_RECORDED, "updates", "ranks", "policy.sharding")
"""Keys that a run may go on with changed: none of them moves a number of the rows that are there.

Another number of ranks, or what each of them holds, changes later ones by rounding. ``updates`` is none of them where
the learning rates fall over the run: see ``training.rates``.
"""


OVER_UPDATES = ", over which the learning rates fall: those of the updates that are there would be others"
"""Why ``updates`` may not change where the optimiser has a schedule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended. ``final_reward``: mean reward of its last update, None if it made none.

    ``expected``: whether an interrupted run ended as ``limit.minutes`` asked. ``error``: what made it fail, if anything
    was raised. ``helped``: this is a rank of a run that another one records.
    """

    status: Ended | Literal["skipped", "helped"]
    directory: Path
    reason: str | None
    final_reward: float | None
    expected: bool = False
    error: BaseException | None = None


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
        OwnCodeFailed: a part of the user's own raised.
    """
    torch.set_num_threads(parts.settings.threads)
    started = time.perf_counter()
    state, writer = open_run(parts, config, overrides, command)
    end = End(status="failed", reason=None, row={})
    with writer:
        mirror = parts.tracker.start(writer.directory, config, writer.info.model_dump())
        try:
            end = follow(parts, state, writer, mirror)
            if not isinstance(end.error, RankLost):
                orders.end(parts)
        except KeyboardInterrupt:
            end = replace(end, status="interrupted", reason="stopped at once by a second signal")
        except BaseException as error:
            end = replace(end, reason=told(error))
            if isinstance(error, SafelabError) or not passed_through(error):
                raise
            raise OwnCodeFailed(f"a part of your own raised {end.reason}; --debug shows the traceback") from error
        finally:
            sign_off(writer, end, time.perf_counter() - started)
            mirror.finish(end.status)
    return Outcome(
        status=end.status,
        directory=writer.directory,
        reason=end.reason,
        final_reward=end.row.get("reward/mean"),
        expected=end.expected,
        error=end.error,
    )


def sign_off(writer: RunWriter, end: End, seconds: float) -> None:
    """Say in ``run.json`` how it ended. A disk that does not even take that is told, and hides no other reason."""
    last = {"last_update": end.row["update"]} if end.row else {}
    try:
        writer.update_info(
            status=end.status, reason=end.reason, ended=now(), seconds=(writer.info.seconds or 0.0) + seconds, **last
        )
    except OutputFailed as error:
        notice(str(error))


def open_run(
    parts: Components, config: Mapping[str, Any], overrides: Sequence[str], command: str
) -> tuple[TrainState, RunWriter]:
    """A fresh run, or the newest whole checkpoint of the unfinished one that is there; we hold its directory."""
    settings = parts.settings
    directory = settings.directory
    state = initial_state(parts)
    changed_keys(directory, config)  # refuses before anything is made
    changed_inputs(directory, config)
    if settings.resume.mode == "must" and not (directory / RUN_FILE).exists():
        raise nothing_to_resume(directory)
    lock = take(directory)
    try:
        changes, others = changed_keys(directory, config), changed_inputs(directory, config)
        path = to_go_on_from(directory)
        if path is None:
            if settings.resume.mode == "must":
                raise nothing_to_resume(directory)
            info = fresh_info(parts, overrides, command).model_copy(update={"id": id_of(directory)})
            writer = RunWriter.create(directory, config, overrides, info, lock, notice)
            writer.text(INPUTS_FILE, text_of(taken(config)))
            for said in (*plain_chat(parts), *idle_correction(parts, config)):
                notice(said)
                writer.event({"update": 0, "kind": "note", "text": said})
            return state, writer
        before = read_info(directory)
        check_owner(path, before)
        for said in lost_lines(directory, config, checkpoint.update_of(path)):
            notice(said)
        rates = not any(key.startswith("optimizer.") for key in changes)
        state = orders.load(parts, state, path, saved_rates=rates)
        writer = RunWriter.reopen(directory, state.counters.update, events(state.recovery), lock, notice)
        if (last := no_longer_last(parts, before)) is not None:
            writer.forget_samples(last)
        writer.update_info(
            id=id_of(directory), status="running", updates=settings.updates, pid=os.getpid(), host=platform.node(),
            folder=os.getcwd(), tags=parts.tracker.tags, notes=parts.tracker.notes, reason=None, ended=None,
            went_on_with=went_on_with(writer.info, state.counters.update),
        )  # fmt: skip
        if changes:
            writer.event({"update": state.counters.update, "kind": "config_changed", "changes": changes})
        if others:
            writer.event({"update": state.counters.update, "kind": "inputs_changed", "inputs": others})
        writer.text(INPUTS_FILE, text_of(taken(config)))
        writer.replace_config(config)
    except BaseException:
        lock.release()
        raise
    return state, writer


def id_of(directory: Path) -> str:
    """The id of the run in ``directory``; a new one where there is none, or one of a version that gave none."""
    there = read_info(directory).id if (directory / RUN_FILE).exists() else ""
    return there or new_id()


def no_longer_last(parts: Components, before: RunInfo) -> int | None:
    """The update whose samples were written only because it was to be the last, where the run now goes beyond it."""
    every, last = parts.settings.samples.every, before.updates - 1
    return last if every > 0 and last % every != 0 and last < parts.settings.updates - 1 else None


def to_go_on_from(directory: Path) -> Path | None:
    """The newest whole checkpoint whose rows are there; those that are passed over are named.

    Raises:
        DataError: checkpoints without the run's record.
        OSError: they cannot be looked at.
    """
    checkpoints = directory / CHECKPOINT_DIR
    checkpoint.tidied(checkpoints)
    if not (directory / RUN_FILE).exists():
        if checkpoint.checkpoints_in(checkpoints):
            raise DataError(f"{checkpoints} must lie beside a {RUN_FILE}, got none: move the checkpoints away")
        return None
    rows = last_update(directory) + 1
    path, passed_over = checkpoint.newest(checkpoints, lambda update: update <= rows)
    for one in passed_over:
        damaged = (
            f"rows end before it, at update {rows - 1}" if checkpoint.update_of(one) > rows else "damaged checkpoint"
        )
        notice(f"{damaged}, passed over: {one}")
    if passed_over and path is None:
        notice(f"no whole checkpoint is left in {checkpoints}: the run begins anew")
    return path


def nothing_to_resume(directory: Path) -> ConfigError:
    """What ``resume=must`` says where it finds nothing."""
    return ConfigError(f"resume must be auto or never, got must: {directory} holds no run with a whole checkpoint")


def changed_keys(directory: Path, config: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What ``resume.allow`` lets differ from the run that is there: key to [there, now].

    Empty where there is none, or one that failed before its first update.

    Raises:
        ConfigError: another key differs, or ``resume`` is ``never`` and a run is there.
        DataError: what the run there was told cannot be read.
    """
    if not (directory / RUN_FILE).exists():
        return {}
    if config["resume"]["mode"] == "never":
        raise ConfigError(
            f"resume must be auto or must, got never: {directory} holds a run; choose another arm, experiment or "
            "output_dir, or remove it"
        )
    if not binds(directory):
        return {}
    there, here = leaves(read_config(directory)), leaves(config)
    changed = [key for key in sorted(there.keys() | here.keys()) if not same(there.get(key), here.get(key))]
    longer = "updates" in changed and follow_updates(config["optimizer"])
    changed = [key for key in changed if not is_among(key, MAY_CHANGE) or (longer and key == "updates")]
    if refused := not_allowed(changed, config["resume"]["allow"]):
        differences = "; ".join(
            f"{key}: {there.get(key)!r} there, {here.get(key)!r} now{OVER_UPDATES if key == 'updates' else ''}"
            for key in refused
        )
        raise ConfigError(
            f"{directory} must hold a run of this configuration, got another ({differences}); give this one a "
            "name of its own with experiment=... or arm=..., remove that directory, or go on all the same with "
            f"'resume.allow=[{','.join(refused)}]'"
        )
    return {key: [there.get(key), here.get(key)] for key in changed}


def same(there: Any, here: Any) -> bool:
    """Whether two values are one; a relative path, as older versions wrote it down, is the absolute one of today."""
    if isinstance(there, list) and isinstance(here, list):
        return len(there) == len(here) and all(map(same, there, here))
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        return there.keys() == here.keys() and all(same(there[key], here[key]) for key in there)
    if isinstance(there, str) and isinstance(here, str) and os.path.isabs(here):
        return os.path.abspath(os.path.expanduser(there)) == os.path.abspath(here)
    return bool(there == here)
