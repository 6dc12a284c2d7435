"""The files of a run directory, and the record that says what the run is.

<output_dir>/<experiment>/<arm>/seed_<n>/
  config.yaml      the resolved configuration        overrides.yaml  what the command line changed
  run.json         RunInfo, always whole             metrics.jsonl   one flat JSON object per update
  inputs.json      fingerprints of weights, data, code that the configuration names
  samples.jsonl    what the policy wrote             events.jsonl    what happened between updates
  evaluation.json  what `safelab evaluate` measured  checkpoints/
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from safelab.options import State
from safelab.runlog.files import EXACT

CONFIG_FILE = "config.yaml"
OVERRIDES_FILE = "overrides.yaml"
RUN_FILE = "run.json"
INPUTS_FILE = "inputs.json"
METRICS_FILE = "metrics.jsonl"
SAMPLES_FILE = "samples.jsonl"
EVENTS_FILE = "events.jsonl"
EVALUATION_FILE = "evaluation.json"
CHECKPOINT_DIR = "checkpoints"

LINE_FILES = (METRICS_FILE, SAMPLES_FILE, EVENTS_FILE)
"""The files that hold one JSON object per line, each with its ``update``."""

RENAMED = {"controller/coef": "controller/kl_slope"}
"""Metrics that older runs wrote under another name: old -> today's, under which every reader here gives them."""


FROM_FILES = ("text", "jsonl", "hub", "hh_rlhf")
"""Options of ``data`` and ``pairs`` that read files, and so have the key ``skip_unfit``."""

NEW_KEYS: Mapping[str, tuple[tuple[str, ...], Mapping[str, Any]]] = {
    "data": (FROM_FILES, {"skip_unfit": False}),
    "data:hub": (("hub",), {"first_words": None}),
    "pairs": (FROM_FILES, {"skip_unfit": False}),
    "policy": (("causal_lm", "tiny"), {"packing": "none", "sharding": "none"}),
    "optimizer": (("adamw", "adamw_8bit"), {"micro_batch_tokens": None, "schedule": "constant"}),
    "optimizer:gradient_penalty": (
        ("adamw", "adamw_8bit"),
        {"gradient_penalty": {"coef": 0.0, "step": 1e-3, "clip": 10.0, "direction": "gradient"}},
    ),
    "rollout": (("vllm",), {"devices": None}),
    "rollout:all": (("hf", "vllm"), {"dynamic_sampling": 0}),
    "evaluator": (("gold_reviews",), {"norm": "kind"}),
    "reward": (("ensemble",), {"variance_coef": 0.1}),
    "reward:sequence_classifier": (("sequence_classifier",), {"scale": "raw"}),
    "shaping": (("stack",), {"missing_end_reward": None}),
    "controller": (("stack",), {"reference": {"name": "frozen"}}),
    "advantage": (("gae",), {"whiten_rewards": False}),
}
"""Keys that options of a group have since 0.1.0, and what their runs did before there was the key; behind
a colon: which options, where a group has several such lines."""

HELD_BY = {"reward": ("reward", "evaluator")}
"""Where options of a group stand, if not only under its own name: an evaluator may hold a reward."""


def config_today(config: Mapping[str, Any]) -> dict[str, Any]:
    """A recorded configuration under today's keys, so that runs of older versions are read and go on.

    Up to 0.1.0 ``controller.route`` was text; it is a group since. Prompts that could not be read ended the run, and no
    study named its baseline. Up to 0.2.0 every pass was as wide as its widest row, pieces were counted in rows, no
    loss was corrected for the sampler, and a run was one process that held all of its policy.
    """
    controller = config.get("controller")
    today = {"baseline": None, "correction": {"name": "none"}, "ranks": 1, **config} if config else {}
    if isinstance(controller, Mapping) and isinstance(controller.get("route"), str):
        today["controller"] = {**controller, "route": {"name": controller["route"]}}
    for key, (names, before) in NEW_KEYS.items():
        group = key.partition(":")[0]
        for place in HELD_BY.get(group, (group,)):
            if place in today:
                today[place] = _with_keys(today[place], names, before)
    return today


def _with_keys(node: Any, names: Sequence[str], before: Mapping[str, Any]) -> Any:
    """``node`` with the keys ``before`` in each option of ``names`` that lacks them, at the top or held by another."""
    if isinstance(node, list):
        return [_with_keys(value, names, before) for value in node]
    if not isinstance(node, Mapping):
        return node
    inner = {key: _with_keys(value, names, before) for key, value in node.items()}
    return {**before, **inner} if node.get("name") in names else inner


NON_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
"""How a value that JSON cannot hold is written: as this text."""

ROLLBACK = "rollback"
"""Kind of the event of a guard that went back to a checkpoint: one for each that the run's state counts."""

LASTING = ("config_changed", "inputs_changed")
"""Kinds of events that were done to a run, and so stay where the updates after them are made again."""

Status = Literal["running", "finished", "failed", "diverged", "interrupted"]
"""``diverged``: a number was not finite, or the guard ended it; ``failed``: something broke; ``interrupted``: a signal,
or the time was up."""


Count = Annotated[int, Field(ge=0, le=EXACT)]
"""Of updates: a number that a table of 64 bit can hold."""


class RunInfo(State):
    """``run.json``: what ran, with what, on what, and how it ended.

    ``updates`` are planned, ``last_update`` is the last row that was written (from 0). ``started`` and ``ended``
    are ISO 8601 in UTC, ``seconds`` is wall time. ``id`` is drawn when the run begins, and its checkpoints bear it.
    ``went_on_with``: for each time that other code or versions went on with the run than before, from which update,
    when, and both. ``folder``: the current one of whoever trains, where modules of the user's own are found. Keys that
    a later version adds are kept as they are.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    id: str = ""
    status: Status
    reason: str | None = None
    experiment: str
    arm: str
    seed: Annotated[int, Field(ge=-EXACT, le=EXACT)]
    updates: Count
    last_update: Annotated[int, Field(ge=-1, le=EXACT)] | None = None
    overrides: list[str] = Field(default_factory=list)
    command: str = ""
    tags: list[str] = Field(default_factory=list)
    notes: str | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    git_commit: str | None = None
    went_on_with: list[dict[str, Any]] = Field(default_factory=list)
    folder: str = ""
    host: str = ""
    device: str = ""
    pid: int | None = None
    started: str = ""
    ended: str | None = None
    seconds: float | None = None


def plain(value: Any) -> Any:
    """``value`` with every non-finite float replaced by its text, so that the JSON is strict."""
    if isinstance(value, float):
        return _TEXT.get(repr(float(value)), value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return plain(_fields_of(value)) if is_dataclass(value) else value


def strict_json(value: Any, *, ensure_ascii: bool = True) -> str:
    """``value``, dataclasses and all, as strict JSON on one line; what is not finite becomes its text."""

    def dumps(content: Any) -> str:
        return json.dumps(
            content, allow_nan=False, ensure_ascii=ensure_ascii, separators=(",", ":"), default=_fields_of
        )

    try:
        return dumps(value)  # at the speed of C; only a value that is not finite needs the walk
    except ValueError:
        return dumps(plain(value))


def _fields_of(value: Any) -> dict[str, Any]:
    """A dataclass one level deep; anything else raises the TypeError that ``json`` expects."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


_TEXT = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
