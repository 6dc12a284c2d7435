"""``safelab replay`` as a user calls it."""

import csv
import json
from pathlib import Path

import pytest

from safelab.app.cli import main
from support.runs import run, small

SIGNALS = "reward_mean,kl_ref_token_k1,kl_ref_token_exact,entropy_token\n" + "0.5,0.4,0.4,1.0\n" * 3


@pytest.fixture
def signals(tmp_path: Path) -> Path:
    path = tmp_path / "signals.csv"
    path.write_text(SIGNALS)
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_from_a_file_with_an_override_and_a_figure(signals: Path, tmp_path: Path) -> None:
    out, figure = tmp_path / "out.csv", tmp_path / "out.png"
    arguments = ["--signals", str(signals), "controller=safe", "controller/gate=none", "controller/phase=none"]
    assert main(["replay", *arguments, "--output", str(out), "--figure", str(figure)]) == 0
    answer = rows(out)
    assert len(answer) == 3
    # No phase: threshold 0.3 at the first step; K = 0.4, so 0.1 * 0.1^2 with no gate and a slope of 2 * 0.1 * 0.1.
    assert float(answer[0]["penalty"]) == pytest.approx(0.001)
    assert float(answer[0]["kl_coef"]) == pytest.approx(0.02)
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_from_a_run_it_tells_what_the_run_itself_logged(tmp_path: Path) -> None:
    outcome, _ = run(small(tmp_path, "algorithm=safe", "updates=4"))
    out = tmp_path / "out.csv"
    assert main(["replay", str(outcome.directory), "controller=safe", "--output", str(out)]) == 0
    logged = [json.loads(line) for line in (outcome.directory / "metrics.jsonl").read_text().splitlines()]
    for row, metrics in zip(rows(out), logged, strict=True):
        assert float(row["threshold"]) == metrics["controller/threshold"]
        assert float(row["kl_coef"]) == metrics["controller/kl_slope"]
        assert row["phase"] == metrics["controller/phase"]


def test_a_folder_with_equal_signs_in_its_name_is_a_run(tmp_path: Path) -> None:
    place = tmp_path / "safe,controller-gate=none" / "seed_0"
    place.mkdir(parents=True)
    info = {"status": "finished", "experiment": "e", "arm": "a", "seed": 0, "updates": 1}
    row = {"update": 0, "episodes": 8, "reward/mean": 0.5, "policy/entropy_token": 1.0}
    row |= {"kl/ref_token_k1": 0.4, "kl/ref_token_exact": 0.4}
    (place / "run.json").write_text(json.dumps(info))
    (place / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    out = tmp_path / "out.csv"
    assert main(["replay", str(place), "controller=safe", "--output", str(out)]) == 0
    assert len(rows(out)) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["controller=safe", "--output", "out.csv"], "must get one source"),
        (["--signals", "SIGNALS", "controller=saef", "--output", "out.csv"], "safe"),
        (["--signals", "SIGNALS", "controller=safe"], "--output"),
        (
            ["--signals", "SIGNALS", "controller=safe", "controller.threshold.base=-1", "--output", "out.csv"],
            "base must be",
        ),
        (
            ["--signals", "SIGNALS", "controller=safe", "--output", "no/such/folder/out.csv"],
            "make no/such/folder first",
        ),
        (["--signals", "absent.csv", "controller=safe", "--output", "out.csv"], "readable CSV"),
        (["no_run", "controller=safe", "--output", "out.csv"], "no_run"),
    ],
)
def test_mistakes_get_one_message_and_leave_nothing(
    arguments: list[str], message: str, signals: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    assert main(["replay", *[str(signals) if word == "SIGNALS" else word for word in arguments]]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not list(empty.iterdir())
