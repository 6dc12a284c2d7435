import sys
from types import ModuleType

import pytest

from safelab import __version__
from safelab.app import cli
from safelab.errors import ConfigError, RunFailed


def fake_command(monkeypatch: pytest.MonkeyPatch, act) -> None:
    """A subcommand ``train`` that does ``act(arguments)``."""
    module = ModuleType("fake_command")
    module.main = act
    monkeypatch.setitem(sys.modules, "safelab.app.commands.fake_command", module)
    monkeypatch.setitem(cli.COMMANDS, "train", ("fake_command", "a fake"))


def raising(error: BaseException):
    def act(arguments):
        raise error

    return act


def test_help_lists_every_command(capsys) -> None:
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name}" in text and help_line in text for name, (_, help_line) in cli.COMMANDS.items())


def test_no_command_is_a_mistake_that_shows_the_help(capsys) -> None:
    assert cli.main([]) == 2
    assert "usage: safelab" in capsys.readouterr().out


def test_a_current_folder_that_is_gone_is_one_message(monkeypatch, capsys, tmp_path) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert cli.main(["--version"]) == 2
    assert capsys.readouterr().err == "error: the current folder must exist, and was removed: change to another\n"


def test_windows_is_refused_in_one_line(monkeypatch, capsys) -> None:
    monkeypatch.setattr(cli.sys, "platform", "win32")
    assert cli.main(["--version"]) == 2
    assert capsys.readouterr().err == (
        "error: safelab must run on Linux or macOS, got Windows: use it inside WSL, which is Linux\n"
    )


def test_version(capsys) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"safelab {__version__}\n"


def test_an_unknown_command_is_told_the_nearest(capsys) -> None:
    assert cli.main(["trian", "x=1"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: safelab trian: no such command; did you mean 'train'? known: ")
    assert error.count("\n") == 1


def test_arguments_and_exit_code_are_passed_on(monkeypatch) -> None:
    seen = []
    fake_command(monkeypatch, lambda arguments: seen.append(arguments) or 7)
    assert cli.main(["train", "a=1", "--debug", "-m"]) == 7
    assert seen == [["a=1", "-m"]]


@pytest.mark.parametrize(("error", "code"), [(ConfigError("lr must be > 0"), 2), (RunFailed("lr must be > 0"), 1)])
def test_our_errors_are_one_message_and_their_code(monkeypatch, capsys, error, code) -> None:
    fake_command(monkeypatch, raising(error))
    assert cli.main(["train"]) == code
    assert capsys.readouterr().err == "error: lr must be > 0\n"


def test_debug_shows_the_traceback_too(monkeypatch, capsys) -> None:
    fake_command(monkeypatch, raising(ConfigError("lr must be > 0")))
    assert cli.main(["--debug", "train"]) == 2
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert error.endswith("error: lr must be > 0\n")


def test_ctrl_c_is_no_traceback(monkeypatch, capsys) -> None:
    fake_command(monkeypatch, raising(KeyboardInterrupt()))
    assert cli.main(["train"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_what_is_not_ours_is_not_hidden(monkeypatch) -> None:
    fake_command(monkeypatch, raising(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError):
        cli.main(["train"])


def test_a_disk_that_refuses_is_one_message(monkeypatch, capsys) -> None:
    fake_command(monkeypatch, raising(OSError(28, "No space left on device", "report/index.html")))
    assert cli.main(["train"]) == 1
    assert capsys.readouterr().err == "error: No space left on device (report/index.html); mend that, and try again\n"


def test_what_a_model_wrote_cannot_drive_the_terminal(monkeypatch, capsys) -> None:
    fake_command(monkeypatch, raising(RunFailed("reward said \x1b]0;title\x07 and\nmore")))
    assert cli.main(["train"]) == 1
    assert (
        capsys.readouterr().err
        == "error: reward said \N{REPLACEMENT CHARACTER}]0;title\N{REPLACEMENT CHARACTER} and\nmore\n"
    )
