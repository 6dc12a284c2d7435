"""What lies beside a trained policy's weights says what they are, and is true of the rows."""

import json
from pathlib import Path

import pytest
import yaml

from safelab.runlog.model_card import LAST, card, flagged, measured, policy_card
from support.models import model_directory
from support.runs import run, small


def front_matter(text: str) -> dict[str, object]:
    """What the hub reads of a card."""
    _, head, _ = text.split("---\n", 2)
    return yaml.safe_load(head)


@pytest.mark.parametrize(
    ("adapter", "library"), [("none", "transformers"), ("lora", "peft"), ("adaptive_lora", "peft")]
)
def test_a_finished_run_leaves_a_card_with_its_results(adapter: str, library: str, tmp_path: Path) -> None:
    outcome, rows = run(small(tmp_path, f"policy/adapter={adapter}", "updates=12"))
    folder = outcome.directory / "checkpoints" / "update_000012" / "policy"
    text = (folder / "README.md").read_text()
    assert front_matter(text) == {
        "library_name": library, "base_model": str(model_directory()), "tags": ["safelab"]
    }  # fmt: skip
    reward = sum(row["reward/mean"] for row in rows[-LAST:]) / LAST
    assert f"| reward | {rows[0]['reward/mean']:.4g} | {reward:.4g} |" in text
    assert "mean of the last 10 that measured it" in text
    assert "12 of 12 updates (96 responses)" in text
    assert "gold" not in text.split("```")[0]  # this run has no such score
    assert "seed 0" in text
    info = json.loads((outcome.directory / "run.json").read_text())
    assert all(f"{name}: {version}" in text for name, version in info["versions"].items())
    assert yaml.safe_load(text.split("```yaml\n")[-1].split("```")[0]) == small(
        tmp_path, f"policy/adapter={adapter}", "updates=12"
    )


def test_a_checkpoint_on_the_way_says_how_far_it_is(tmp_path: Path) -> None:
    outcome, _ = run(small(tmp_path, "checkpoint.every=2", "checkpoint.keep=2"))
    early, late = sorted((outcome.directory / "checkpoints").iterdir())
    assert "2 of 3 updates" in (early / "policy" / "README.md").read_text()
    assert (late / "policy" / "README.md").read_text() == policy_card(outcome.directory, 3)


def test_a_metric_that_is_not_measured_every_time() -> None:
    rows = [{"reward/mean": 1.0}, {"reward/mean": None}, {}, *({"reward/mean": float(i)} for i in range(10))]
    assert measured(rows) == {"reward": (1.0, 4.5)}


def test_crash_flags_are_counted() -> None:
    rows = [{"crash/reward": 0, "crash/kl_spike": 1}, {"crash/reward": 0, "crash/kl_spike": 1}]
    assert flagged(rows) == "Updates that a crash definition flags: kl_spike 2, reward 0."


def test_a_card_without_a_base_model_names_none() -> None:
    text = card(
        library="transformers", base_model=None, title="t", said=[], columns=("a", "b"),
        measured={"x": (1.0, 0.25)}, blocks=[],
    )  # fmt: skip
    assert front_matter(text) == {"library_name": "transformers", "tags": ["safelab"]}
    assert "| x | 1 | 0.25 |" in text
