"""The command ``safelab``: finds the subcommand, and turns what it raises into one message and an exit code."""

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

from safelab import __version__
from safelab.errors import ConfigError, SafelabError, nearest, printable, printable_lines

# Name -> (module with ``main(arguments) -> exit code``, one line of help). Modules are imported when they are called.
COMMANDS = {
    "train": ("safelab.app.train", "train one run, or many with -m"),
    "report": ("safelab.app.report", "compare runs: tables, figures, one HTML page"),
    "runs": ("safelab.app.runs", "list runs: status, updates, reward, KL, crashes, time left"),
    "watch": ("safelab.app.watch", "the same, redrawn while they run"),
    "sft": ("safelab.app.sft", "stage 1: a base model learns from the better answers of preference pairs"),
    "reward-model": ("safelab.app.reward_model", "stage 2: a classifier learns which answer is the better one"),
    "value-model": ("safelab.app.value_model", "DVPO's stage 1: a value after every token, from preference pairs"),
    "evaluate": ("safelab.app.evaluate", "a run's checkpoint on held-out prompts, against where it started"),
    "generate": ("safelab.app.generate", "let a run's policy write"),
    "reproduce": ("safelab.app.reproduce", "run a run again and compare its rows to the last bit"),
    "replay": ("safelab.app.replay", "step a controller over recorded signals, without a model"),
    "audit": ("safelab.app.audit", "which terms of a loss act, and which are only logged"),
    "pretrain": ("safelab.app.pretrain", "make the embedded world (language and reward model) alone"),
}

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 + SIGINT."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``safelab`` with ``arguments`` (the process's own if None); returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # so that reward.name=my_module:my_function finds my_module.py beside the user
    try:
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
    return int(import_module(COMMANDS[name][0]).main(rest))


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
