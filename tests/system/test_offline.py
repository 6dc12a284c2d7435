"""Every command on a run that learnt from pairs."""

import json
from pathlib import Path

import pytest

from safelab.app.cli import main
from support.pairs import REALIGNED, offline
from support.runs import run, small


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of DPO, measured every other update, and two of PPO beside them."""
    folder = tmp_path_factory.mktemp("offline")
    for seed in (0, 1):
        run(offline(folder, "algorithm=dpo", "pairs.evaluate_every=2", "updates=6", f"seed={seed}", "arm=dpo"))
        run(small(folder, "algorithm=ppo", "updates=6", f"seed={seed}", "arm=ppo"))
    return folder / "outputs" / "default"


@pytest.fixture
def directory(experiment: Path) -> Path:
    return experiment / "dpo" / "seed_0"


def test_reproduce(directory: Path, capsys) -> None:
    assert main(["reproduce", str(directory), "--trust"]) == 0
    assert "6 of 6 updates are the same to the last bit" in capsys.readouterr().out


def test_evaluate(directory: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "held_out.txt").write_text("a a\nb c\n")
    assert (
        main(["evaluate", str(directory), "--trust", "--prompts", str(tmp_path / "held_out.txt"), "--count", "2"]) == 0
    )
    saved = json.loads((directory / "evaluation.json").read_text())
    assert saved["reference"]["kl_ref_token_exact"] == pytest.approx(0.0, abs=1e-6)
    assert saved["policy"]["kl_ref_token_exact"] > 0


def test_generate(directory: Path, capsys) -> None:
    assert main(["generate", str(directory), "--trust", "a b", "--count", "2"]) == 0
    prompt, *answers = capsys.readouterr().out.split("\n")[:3]
    assert prompt == "prompt: a b"
    assert [line.split(":")[0] for line in answers] == ["answer 1", "answer 2"]


def test_the_report_puts_it_beside_an_online_arm(experiment: Path, tmp_path: Path, capsys) -> None:
    assert main(["report", str(experiment), "--baseline", "ppo", "--output", str(tmp_path / "report")]) == 0
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    arms = {arm["name"]: arm for arm in report["arms"]}
    rows = [json.loads(line) for line in (experiment / "dpo" / "seed_0" / "metrics.jsonl").read_text().splitlines()]
    measured = [row["reward/mean"] for row in rows if "reward/mean" in row]
    assert len(measured) == 3
    assert arms["dpo"]["counted"] == arms["ppo"]["counted"] == 2
    own = next(one for one in report["runs"] if one["arm"] == "dpo" and one["seed"] == 0)
    assert own["measures"]["reward_mean"] == pytest.approx(sum(measured) / 3)
    assert own["non_finite"] == {}


def test_replay_hears_the_updates_in_which_the_policy_wrote(directory: Path, tmp_path: Path) -> None:
    answers = tmp_path / "answers.csv"
    assert main(["replay", str(directory), "controller=safe", "--output", str(answers)]) == 0
    lines = answers.read_text().splitlines()
    assert len(lines) == 1 + 3
    assert "nan" not in "".join(lines)


@pytest.mark.parametrize("algorithm", ["dpo", "ipo", "chi_po", "var", "trace"])
def test_audit(algorithm: str, tmp_path: Path, capsys) -> None:
    overrides = [
        f"algorithm={algorithm}",
        *(f"{key}={value}" for key, value in plain(offline(tmp_path, f"algorithm={algorithm}")).items()),
        *(REALIGNED if algorithm == "trace" else ()),
    ]
    assert main(["audit", *overrides, "--kl", "0.1"]) == 0
    assert "preference" in capsys.readouterr().out


def test_audit_says_when_every_pair_is_beyond_the_clip(tmp_path: Path, capsys) -> None:
    given = plain(offline(tmp_path, "algorithm=chi_po"))
    overrides = ["algorithm=chi_po", "preference.beta=100", *(f"{key}={value}" for key, value in given.items())]
    assert main(["audit", *overrides]) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert "NO" in told
    assert "100% of the pairs have no gradient here" in told


def plain(config: dict) -> dict[str, object]:
    """What of ``support.pairs.offline`` a command line has to be told."""
    return {
        "policy": "local", "policy.path": config["policy"]["path"], "data": "text",
        "data.path": config["data"]["path"], "reward": "function", "reward.name": "support.runs:share_of_good",
        "rollout.batch_size": 8, "rollout.max_new_tokens": 6, "pairs": "jsonl", "pairs.path": config["pairs"]["path"],
        "pairs.batch_size": 4,
    }  # fmt: skip


def test_a_dry_run_counts_pairs(tmp_path: Path, capsys) -> None:
    given = plain(offline(tmp_path, "algorithm=dpo"))
    overrides = ["algorithm=dpo", "updates=30", *(f"{key}={value}" for key, value in given.items())]
    assert main(["train", *overrides, "dry_run=true"]) == 0
    shown = {line.rsplit(None, 1)[0].strip(): line.split()[-1] for line in capsys.readouterr().out.splitlines() if line}
    assert (shown["pairs per update"], shown["pairs in all"], shown["optimiser steps in all"]) == ("4", "120", "30")
    assert (shown["updates that are measured"], shown["responses per forward pass"]) == ("3", "8")
