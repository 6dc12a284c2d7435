"""The README.md beside saved weights: what they are, how they load, what was measured, with what they were made."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from safelab.runlog.lines import rows_before
from safelab.runlog.recorded import read_config
from safelab.runlog.schema import NON_FINITE
from safelab.runlog.writer import read_info

FILE = "README.md"

ADAPTER = "adapter_config.json"
"""What lies where weights are a LoRA adapter and not a whole model."""

LAST = 10
"""Updates whose mean stands in the card of a trained policy: a single one of a few responses says little."""

MEASURED = {
    "reward/mean": "reward",
    "reward/gold_mean": "gold score (nothing optimised it)",
    "kl/ref_token_exact": "KL to the reference, nats per token",
    "policy/entropy_token": "entropy, nats per token",
    "response/length_mean": "length, tokens",
    "response/eos_rate": "responses that end",
}
"""What of the rows the card shows, and under what name; a metric that the run does not have is left out."""


def card(
    *,
    library: str,
    base_model: str | None,
    title: str,
    said: Sequence[str],
    columns: tuple[str, str],
    measured: Mapping[str, tuple[float, float]],
    blocks: Sequence[tuple[str, str]],
) -> str:
    """A model card in the hub's format: YAML at the head, then Markdown.

    Args:
        library: whose layout the weights have.
        base_model: what the training started from, a directory or a name on the hub; None if it has no name.
        title: the heading.
        said: paragraphs below it.
        columns: what the two numbers of each row of the table are.
        measured: name to these two numbers.
        blocks: language and content of the code blocks at the end.
    """
    head = [f"library_name: {library}", *([f"base_model: {json.dumps(at(base_model))}"] if base_model else [])]
    rows = [f"| {name} | {first:.4g} | {second:.4g} |" for name, (first, second) in measured.items()]
    lines = ["---", *head, "tags: [safelab]", "---", "", f"# {title}", ""]
    for paragraph in said:
        lines += [paragraph, ""]
    lines += [f"| | {columns[0]} | {columns[1]} |", "|---|---|---|", *rows, ""]
    for language, content in blocks:
        lines += [f"```{language}", content.rstrip("\n"), "```", ""]
    return "\n".join(lines)


def policy_card(directory: Path, made: int) -> str:
    """The card of a run's policy after ``made`` updates, from what lies in the run's directory."""
    info = read_info(directory)
    config = read_config(directory)
    rows = rows_before(directory, made)
    responses = rows[-1].get("episodes") if rows else 0
    policy = config["policy"]
    library = "peft" if policy.get("adapter", {}).get("name") in ("lora", "adaptive_lora") else "transformers"
    return card(
        library=library,
        base_model=policy.get("path"),
        title=f"{info.experiment}, {info.arm}, seed {info.seed}",
        said=[
            f"A policy after {made} of {info.updates} updates ({responses} responses), "
            f"trained by safelab {info.versions['safelab']} (commit {info.git_commit or 'unknown'}). "
            "This is one seed; how sure a difference between methods is, several seeds and `safelab report` say.",
            flagged(rows),
            "Measured during training, on the responses to its own prompts and before each update's steps:",
        ],
        columns=("first update", f"mean of the last {LAST} that measured it"),
        measured=measured(rows),
        blocks=[
            ("python", loading(library, policy.get("path"))),
            ("yaml", yaml.safe_dump({"versions": info.versions}, sort_keys=False)),
            ("yaml", yaml.safe_dump(config, sort_keys=False, allow_unicode=True)),
        ],
    )


def loading(library: str, base_model: str | None, kind: str = "CausalLM") -> str:
    """The lines that load the weights; adapters that the training began from are merged one by one, as it did.

    Args:
        library: whose layout the weights have.
        base_model: what the training started from; None if it has no name.
        kind: which of the classes ``AutoModelFor...`` of ``transformers``.
    """
    auto = f"AutoModelFor{kind}"
    merged: list[str] = []
    base = at(base_model)
    while base is not None and (file := Path(base) / ADAPTER).is_file():
        merged.insert(0, base)
        base = json.loads(file.read_text(encoding="utf-8")).get("base_model_name_or_path")
    last = "tokenizer = AutoTokenizer.from_pretrained(DIRECTORY)"
    if library != "peft":
        return "\n".join(
            [f"from transformers import {auto}, AutoTokenizer", "", f"model = {auto}.from_pretrained(DIRECTORY)", last]
        )
    chain = merged and kind != "CausalLM"
    extra = "" if kind == "CausalLM" else ", num_labels=1"
    lines = [
        f"from peft import {'PeftConfig, ' if chain else ''}PeftModel",
        f"from transformers import {auto}, AutoTokenizer",
        "",
        f'base = {auto}.from_pretrained({"BASE_MODEL" if base is None else repr(base)}{extra}, dtype="float32")',
    ]
    for path in merged:
        if chain:  # an adapter of a language model on the layers of a classifier
            lines += [f"config = PeftConfig.from_pretrained({path!r})", "config.task_type = None"]
        config = ", config=config" if chain else ""
        lines += [f"base = PeftModel.from_pretrained(base, {path!r}{config}).merge_and_unload()"]
    lines += ["model = PeftModel.from_pretrained(base, DIRECTORY)", last]
    if kind == "SequenceClassification":
        lines += ["model.config.pad_token_id = tokenizer.pad_token_id"]
    return "\n".join(lines)


def at(base_model: str | None) -> str | None:
    """A directory by its absolute path, so that the card is true from anywhere; a hub name as it is."""
    return os.path.abspath(base_model) if base_model and os.path.isdir(base_model) else base_model


def measured(rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    """First value and mean of the last ones of each metric that the run has; what is not finite is text in a row."""
    found = {}
    for name, label in MEASURED.items():
        values = [float(row[name]) for row in rows if name in row and _is_number(row[name])]
        if recent := values[-LAST:]:
            found[label] = values[0], sum(recent) / len(recent)
    return found


def _is_number(value: Any) -> bool:
    """Whether a row holds a number there; one that somebody else wrote into may hold anything."""
    return isinstance(value, int | float) or (isinstance(value, str) and value in NON_FINITE)


def flagged(rows: Sequence[Mapping[str, Any]]) -> str:
    """In how many updates each crash definition saw one."""
    names = sorted({name for row in rows for name in row if name.startswith("crash/")})
    counts = ", ".join(f"{name.removeprefix('crash/')} {sum(bool(row.get(name)) for row in rows)}" for name in names)
    return f"Updates that a crash definition flags: {counts or 'none was asked'}."
