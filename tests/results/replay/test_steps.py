"""Replay: recorded signals in, the controller's answers out, without a model."""

import csv
from pathlib import Path

import pytest

from safelab.errors import DataError
from safelab.results.replay.steps import COLUMNS, read_signals, replay, run_signals, write_rows
from support.controllers import signals, stack


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_one_row_a_step_with_the_answer_to_that_steps_signals() -> None:
    heard = [signals(reward=0.4, kl=0.02, entropy=2.5), signals(reward=0.5, kl=0.04, entropy=2.5)]
    rows = replay(stack("safe_released"), heard)
    assert [row["step"] for row in rows] == [0, 1]
    assert rows[0]["threshold"] == pytest.approx(0.45)
    # (0.3 + 0.36 * 0.004) * 1.5
    assert rows[1]["threshold"] == pytest.approx(0.45216, abs=1e-12)
    assert (rows[1]["phase"], rows[1]["active"]) == ("warmup", 0)


def test_a_controller_that_hears_after_the_update_answers_one_step_later() -> None:
    heard = [signals(kl_ref_seq_k1=12.0, n_sequences=256)] * 2
    # Ziegler's 0.2 first, then 0.2 (1 + 0.2 * 256 / 10000).
    slopes = [row["kl_coef"] for row in replay(stack("adaptive_kl"), heard)]
    assert slopes == pytest.approx([0.2, 0.201024], abs=1e-12)


def test_a_csv_is_read_in_any_column_order_and_extra_columns_are_passed_over(tmp_path: Path) -> None:
    text = "note,entropy_token,kl_ref_token_k1,reward_mean\nx,1.5,-0.25,0.125\n"
    (heard,) = read_signals(write(tmp_path / "signals.csv", text))
    assert (heard.reward_mean, heard.kl_ref_token_k1, heard.entropy_token) == (0.125, -0.25, 1.5)
    assert heard.kl_ref_token_exact is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("reward_mean,kl_ref_token_k1\n0.1,0.2\n", "column entropy_token"),
        ("reward_mean,kl_ref_token_k1,entropy_token\n", "at least one row"),
        (
            "reward_mean,kl_ref_token_k1,entropy_token\n0.1,abc,1\n",
            "line 2: kl_ref_token_k1 must be a number, got 'abc'",
        ),
        ("reward_mean,kl_ref_token_k1,entropy_token\n0.1\n", "line 2: kl_ref_token_k1 must be a number"),
    ],
)
def test_bad_signals_are_named(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read_signals(write(tmp_path / "signals.csv", text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must be a readable CSV file"):
        read_signals(tmp_path / "nothing.csv")


def test_what_is_written_reads_back_to_the_last_bit(tmp_path: Path) -> None:
    rows = replay(stack("safe"), [signals(reward=1 / 3, kl=1 / 7, entropy=1.1)] * 3)
    write_rows(tmp_path / "out.csv", rows)
    with (tmp_path / "out.csv").open() as file:
        back = list(csv.DictReader(file))
    assert list(back[0]) == list(COLUMNS)
    assert [float(row["threshold"]) for row in back] == [row["threshold"] for row in rows]
    assert [float(row["kl_short"]) for row in back] == [row["kl_short"] for row in rows]


def test_a_directory_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        run_signals(tmp_path)
