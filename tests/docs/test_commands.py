"""Every command that a page gives is one: a known command, known flags, and overrides that compose."""

import re
import shlex
from pathlib import Path

import pytest

from safelab.app.commands import COMMANDS
from safelab.app.config.compose import compose, opened, parse
from safelab.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
FENCED = re.compile(r"^```(?:bash|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^    (.*)$", re.MULTILINE)
LINE = re.compile(r"^(?:\$ )?(safelab [^\n]+?(?:\\\n[^\n]+?)*)$", re.MULTILINE)
OWN = (
    "sweep=mine",
    "launcher=mine",
    "sweep=gate",
    "sweep=parabola",
    "objective=parabola",
    "reward_brake",
    "mean_of_heads",
    "soft_gate",
    "brevity",
    "sums",
)
"""Options that a page's reader writes: the tests of that page run the command."""
WRONG = ("clip_rnge", "nowhere", "samples_per_prompt=1 critic=single", "confounds_back", "eps=2")
"""Commands that are refused: a page says so, or (the log) that they are of an older version."""
LEFT_OPEN = ("=...", "<")
"""What stands for something that the reader fills in."""
FORETOLD = ("dry_run=true",)


def commands() -> list[tuple[str, list[str]]]:
    """Page and words of each command, comments taken off, a command over several lines as one."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for line in LINE.findall("\n".join([*FENCED.findall(text), *INDENTED.findall(text)])):
            words = shlex.split(
                line.replace("\\\n", " ").split(" > ")[0].split(" || ")[0].split(" | ")[0], comments=True
            )
            found.append((page.relative_to(ROOT).as_posix(), words[1:]))
    return found


def ours(words: list[str]) -> bool:
    """Whether it trains with nothing but what ships."""
    line = " ".join(words)
    return words[0] == "train" and not any(part in line for part in ("--help", *OWN, *WRONG, *LEFT_OPEN))


FOUND = commands()
TRAIN = sorted({" ".join(map(shlex.quote, words[1:])) for _, words in FOUND if ours(words)})


def test_there_are_commands() -> None:
    assert len(FOUND) > 60
    assert len(TRAIN) > 30


def test_every_command_is_known() -> None:
    known = {*COMMANDS, "--help", "--version", "COMMAND", "x", "-sc"}
    assert [(page, words) for page, words in FOUND if words[0] not in known] == []


@pytest.mark.parametrize("line", TRAIN)
def test_its_overrides_compose(line: str) -> None:
    flags = parse(shlex.split(line))
    overrides = [word for word in flags.overrides if word not in FORETOLD and not word.startswith("arms=")]
    one_each = [word if "range(" in word or "[" in word else word.split(",")[0] for word in overrides]
    with opened(flags.config_dir, flags.config_path) as hydra:
        compose(hydra, one_each, multirun=flags.multirun or any("sweep=" in word for word in overrides))


def test_a_command_that_does_not_compose_is_found() -> None:
    with opened(None, None) as hydra, pytest.raises(ConfigError):
        compose(hydra, ["algorithm=saef"])
