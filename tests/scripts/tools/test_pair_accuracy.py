"""On a policy that has not moved every margin is 0, which is a tie; what a run has learnt shows."""

import json
import re
import sys
from pathlib import Path

import pytest

from safelab.app import cli
from scripts.tools import pair_accuracy, tiny

TURN = "\n\nHuman: a\n\nAssistant:"
RECORD = json.dumps({"chosen": f"{TURN} good good", "rejected": f"{TURN} bad"})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    (folder / "hh.jsonl").write_text(f"{RECORD}\n" * 6)
    return folder


def found(world: Path, monkeypatch, capsys, rate: str) -> tuple[float, float]:
    """Accuracy and mean margin after some updates of DPO on that one pair."""
    words = [*tiny.overrides(world), f"output_dir={world / rate}", "arm=x", "algorithm=dpo", "updates=6"]
    pairs = ["pairs=hh_rlhf", f"pairs.path={world / 'hh.jsonl'}", "pairs.batch_size=2", f"optimizer.lr={rate}"]
    assert cli.main(["train", *words, *pairs]) == 0
    capsys.readouterr()
    run = world / rate / "default" / "x" / "seed_0"
    monkeypatch.setattr(sys, "argv", ["pair_accuracy.py", str(run), str(world / "hh.jsonl"), "--last", "4", "--trust"])
    pair_accuracy.main()
    said = re.search(r"^4 pairs: accuracy (\S+) \[\S+, \S+\], mean margin (\S+) nats$", capsys.readouterr().out, re.M)
    assert said is not None
    return float(said[1]), float(said[2])


def test_what_a_run_has_learnt_shows(world: Path, monkeypatch, capsys) -> None:
    accuracy, margin = found(world, monkeypatch, capsys, "1e-2")
    assert accuracy == 1.0
    assert margin > 0.1


def test_where_next_to_nothing_was_learnt_the_margin_is_next_to_nothing(world: Path, monkeypatch, capsys) -> None:
    _, margin = found(world, monkeypatch, capsys, "1e-9")
    assert abs(margin) < 1e-3
