"""The command ``safelab``: finds the subcommand, and turns what it raises into one message and an exit code."""

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

from safelab import __version__
from safelab.app.commands import COMMANDS
from safelab.app.console import speak_anywhere
from safelab.errors import INTERRUPTED, ConfigError, DataError, SafelabError, nearest, printable, printable_lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``safelab`` with ``arguments`` (the process's own if None); returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    speak_anywhere()
    # Before torch is imported: threads that wait for each other asleep leave the cores to other programs; where they
    # wait awake and others need the cores, an update of two threads takes five times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        check_platform(sys.platform)
        find_modules_here()
        return dispatch([argument for argument in given if argument != "--debug"])
    except SafelabError as error:
        if debug:
            traceback.print_exc()
        print(f"error: {printable_lines(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        if debug:
            traceback.print_exc()
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; give the interpreter's last flush somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        # A disk that is full, gone or read-only, met by a command's own output: no fault of the program.
        if debug:
            traceback.print_exc()
        where = f" ({error.filename})" if error.filename is not None else ""
        print(f"error: {printable(error.strerror or str(error))}{where}; mend that, and try again", file=sys.stderr)
        return SafelabError.exit_code


def check_platform(platform: str) -> None:
    """Refuse Windows, which lacks the locks, signals and forks that runs and sweeps rest on.

    Raises:
        ConfigError: ``platform``, as ``sys.platform`` writes it, is Windows.
    """
    if platform == "win32":
        raise ConfigError("safelab must run on Linux or macOS, got Windows: use it inside WSL, which is Linux")


def find_modules_here() -> None:
    """So that ``reward.name=my_module:my_function`` finds ``my_module.py`` beside the user.

    Raises:
        DataError: the current folder is gone.
    """
    try:
        here = os.getcwd()
    except FileNotFoundError as error:
        raise DataError("the current folder must exist, and was removed: change to another") from error
    if here not in sys.path:
        sys.path.append(here)


def dispatch(arguments: list[str]) -> int:
    """Call the subcommand that ``arguments`` begins with.

    Raises:
        ConfigError: there is no such subcommand.
    """
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if arguments else ConfigError.exit_code
    name, rest = arguments[0], arguments[1:]
    if name == "--version":
        print(f"safelab {__version__}")
        return 0
    if name in ("-sc", "--shell-completion"):
        return int(import_module("safelab.app.completion").main(rest))
    if name not in COMMANDS:
        raise ConfigError(f"safelab {name}: no such command; {nearest(name, COMMANDS)}")
    module, _, function = COMMANDS[name][0].partition(":")
    command = getattr(import_module(f"safelab.app.commands.{module}"), function or "main")
    return int(command(rest))


def usage() -> str:
    """What ``safelab --help`` prints."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name.ljust(width)}  {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: safelab COMMAND [arguments] [--debug]",
            "",
            "Trains RLHF methods that promise stability side by side and measures whether they keep it.",
            "",
            *lines,
            "",
            "safelab COMMAND --help says more. --debug shows the traceback of an error.",
            'Completion: eval "$(safelab -sc install=bash)"',
        ]
    )
