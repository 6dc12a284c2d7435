"""What a person is told of a run that begins, goes on, or is made again: what has no effect, lines that are gone."""

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from safelab.contracts import Correction
from safelab.runlog.lines import records_before, update_of
from safelab.runlog.recorded import read_config
from safelab.runlog.schema import EVENTS_FILE, METRICS_FILE, SAMPLES_FILE
from safelab.training.components import Components

SHOWN = 5
"""Updates that a line names before it counts the others."""


def lost_lines(directory: Path, config: Mapping[str, Any], next_update: int) -> list[str]:
    """Which files lack lines that a run which nobody touched would have, a line each, before it goes on.

    Args:
        directory: the run's.
        config: what it goes on with, checked.
        next_update: where it goes on.
    """
    return [
        f"{directory / name} has lost its lines of update {_few(missing)}; the run goes on without them "
        "(to have them again, put the file back from a copy, or remove the run's directory and train anew)"
        for name, missing in lost(directory, config, next_update).items()
    ]


def lost(directory: Path, config: Mapping[str, Any], next_update: int) -> dict[str, list[int]]:
    """Which updates before ``next_update`` have no line in a file that had one of them."""
    expected = {METRICS_FILE: set(range(next_update)), EVENTS_FILE: set(range(min(1, next_update)))}  # its audit
    if read_config(directory).get("samples") == config["samples"]:
        expected[SAMPLES_FILE] = set(_sampled(config, next_update))
    there = {name: {update_of(record) for record in records_before(directory / name, next_update)} for name in expected}
    return {name: sorted(updates - there[name]) for name, updates in expected.items() if updates - there[name]}


def plain_chat(parts: Components) -> list[str]:
    """A line where the policy's tokenizer has a chat template that no prompt is written by."""
    if not parts.policy.unused_template:
        return []
    return [
        "this model's tokenizer has a chat template, and policy.prompt_template=plain passes it by: a chat model "
        "answers as it was taught with policy.prompt_template=chat (hh_chat for the turns of HH-RLHF)"
    ]


def idle_correction(parts: Components, config: Mapping[str, Any]) -> list[str]:
    """A line where a correction changes nothing by construction: the policy learns from what it has just written."""
    rollout, optimizer, correction = config["rollout"], config["optimizer"], config["correction"]["name"]
    if correction == "none" or rollout["name"] != "hf" or rollout["staleness"] > 0:
        return []
    if type(parts.correction).dropped is Correction.dropped:
        return [
            f"correction={correction} changes nothing here: rollout=hf with rollout.staleness=0 is by the policy "
            "itself, so that each weight is 1"
        ]
    if optimizer["epochs"] > 1 or optimizer["minibatches"] > 1:
        return []
    return [
        f"correction={correction} changes nothing here: with one epoch of one minibatch the policy has not moved when "
        "it is asked"
    ]


def other_versions(then: Mapping[str, str]) -> list[str]:
    """Python and libraries that were others when the run began, as ``torch was 2.1, is 2.2``."""
    now = {name: version_now(name) for name in then}
    return [
        f"{name} was {then[name]}, is {found or 'not installed'}" for name, found in now.items() if found != then[name]
    ]


def version_now(name: str) -> str | None:
    """The version of Python or of a library that is installed; None if it is not."""
    if name == "python":
        return platform.python_version()
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _sampled(config: Mapping[str, Any], next_update: int) -> list[int]:
    """The updates whose responses are written down, the last one of the run aside."""
    every, offline = config["samples"]["every"], config["preference"]["name"] != "none"
    apart = config["pairs"]["evaluate_every"] if offline else 1  # elsewhere an offline run writes nothing
    return [update for update in range(0, next_update, apart) if every > 0 and update % every == 0]


def _few(updates: Sequence[int]) -> str:
    more = f" and {len(updates) - SHOWN} more" if len(updates) > SHOWN else ""
    return ", ".join(map(str, updates[:SHOWN])) + more
