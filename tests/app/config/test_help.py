"""What ``--help`` prints: every group and key once, at 80 columns, without a model in sight."""

import contextlib
import subprocess
import sys

import pytest

from safelab.app import cli
from safelab.app.config.help import row


def help_of(capsys, monkeypatch, *words: str) -> str:
    """Printed on a terminal of 80 columns, which is filled and not overrun but by what cannot be broken."""
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main([*words]) == 0
    text = capsys.readouterr().out
    assert [line for line in text.splitlines() if len(line) > 80 and "=" not in line] == []
    return text


def test_the_first_help_lists_groups_and_keys(capsys, monkeypatch) -> None:
    text = help_of(capsys, monkeypatch, "train", "--help")
    assert "  optimizer=adamw               how often and how far weights move\n" in text
    assert "  checkpoint.keep=2             newest ones kept\n" in text
    assert help_of(capsys, monkeypatch, "train", "algorithm=safe", "--help") == text


def test_a_group_is_told_as_the_overrides_make_it(capsys, monkeypatch) -> None:
    words = ["algorithm=safe", "optimizer.lr=0.5", "--help", "controller", "optimizer"]
    text = help_of(capsys, monkeypatch, "train", *words)
    assert "  * controller=safe             SAFE as its paper describes it, mended where it\n" in text
    assert "  controller.momentum.lag=50    controller steps\n" in text  # said in the nested option's file
    assert "  controller.kl_signal=exact    exact | k1\n" in text  # said in the file that it begins from
    assert "  optimizer.lr=0.5 " in text


def test_a_key_alone(capsys, monkeypatch) -> None:
    text = help_of(capsys, monkeypatch, "train", "--help", "optimizer.epochs", "limit", "controller/gate")
    assert text.splitlines()[0] == "  optimizer.epochs=4            passes over one rollout"
    assert "  limit.minutes=null            of wall time" in text
    assert "controller/gate=none has no keys." in text


def test_an_unknown_group_is_told_the_nearest(capsys) -> None:
    assert cli.main(["train", "--help", "optimiser"]) == 2
    assert "--help optimiser: there is no such group or key; did you mean 'optimizer'?" in capsys.readouterr().err


@pytest.mark.parametrize(("command", "batch"), [("sft", 32), ("reward-model", 64), ("value-model", 32)])
def test_a_supervised_command_lists_its_keys_and_those_of_an_adapter(capsys, monkeypatch, command, batch) -> None:
    text = help_of(capsys, monkeypatch, command, "--help")
    assert f"\n  batch_size={batch}                 pairs per optimiser step" in text
    assert "\n  adapter=none                  none: every weight learns;" in text
    assert "\n  adapter.rank=16               Hu et al. 2021" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("command", ["pretrain", "replay"])
def test_other_commands_fit_80_columns(capsys, monkeypatch, command) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with contextlib.suppress(SystemExit):  # argparse ends with its help
        cli.main([command, "--help"])
    text = capsys.readouterr().out
    assert "usage: safelab" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("words", [["--help"], ["--help", "optimizer"]])
def test_help_needs_no_model(words: list[str]) -> None:
    code = f"import sys\nfrom safelab.app.cli import main\nmain(['train', *{words}])\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_row_wraps_below_itself(monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert row("a=1", "one two three four five six seven") == [
        "  a=1                           one two three four five six",
        "                                seven",
    ]
    assert row("a" * 40, "x") == ["  " + "a" * 40, " " * 32 + "x"]
