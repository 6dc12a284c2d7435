"""Saving what ``safelab sft``, ``reward-model`` and ``value-model`` made, in the layout of ``transformers``."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safelab.runlog.durable import as_os_error, shared
from safelab.runlog.model_card import FILE, card, loading
from safelab.supervised.bradley_terry import BradleyTerry
from safelab.supervised.sft import Sft
from safelab.supervised.token_value import TokenValue


def save(
    lesson: Sft | BradleyTerry | TokenValue,
    target: Path,
    title: str,
    record: Mapping[str, Any],
    rows: Sequence[Mapping[str, float]],
) -> None:
    """Weights, tokenizer, model card, ``training.json`` and ``steps.jsonl``; written beside and renamed when whole.

    Raises:
        OSError: it cannot be written; nothing is left.
    """
    adapted = record["config"]["adapter"] is not None
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        with as_os_error(beside):
            beside.mkdir(parents=True)
            # The embedding never trains beside an adapter; to find that out, peft looks for a config.json at its base.
            lesson.model.save_pretrained(beside, **({"save_embedding_layers": False} if adapted else {}))
            lesson.tokenizer.save_pretrained(beside)
            (beside / "training.json").write_text(json.dumps(record, indent=2) + "\n")
            (beside / "steps.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            (beside / FILE).write_text(card_of(lesson, title, record), encoding="utf-8")
            shared(beside)
            beside.rename(target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


KINDS = {Sft: "CausalLM", BradleyTerry: "SequenceClassification", TokenValue: "TokenClassification"}
"""What of ``transformers`` loads what a lesson made."""


def judge_of(config: Mapping[str, Any]) -> str | None:
    """The reward model that named the better answers; None where people did."""
    labels: Mapping[str, str | None] = config.get("labels", {})
    return labels.get("path")


def card_of(lesson: Sft | BradleyTerry | TokenValue, title: str, record: Mapping[str, Any]) -> str:
    """What it is, how it loads, what was measured before and after, the whole configuration."""
    config = record["config"]
    library = "transformers" if config["adapter"] is None else "peft"
    judge = judge_of(config)
    return card(
        library=library,
        base_model=config["model"],
        title=title,
        said=[
            f"Trained by safelab {record['safelab']} on {record['pairs']} preference pairs; "
            f"measured on {record['pairs_held_out']} that were kept back.",
            *([] if judge is None else [f"The better answers are those that {judge} prefers, on both sides."]),
        ],
        columns=("after", "before"),
        measured={name: (value, record["before"][name]) for name, value in record["after"].items()},
        blocks=[
            ("python", loading(library, config["model"], KINDS[type(lesson)])),
            ("json", json.dumps(config, indent=2)),
        ],
    )
