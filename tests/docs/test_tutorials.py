"""The tutorials are true: what they tell the reader to write and to type is done, and prints what they say."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import CALL, environment
from support.tutorials import Command, File, agrees, missing, steps

TUTORIALS = sorted((Path(__file__).parents[2] / "docs" / "tutorials").glob("[0-9]*.md"))


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """An environment in which ``safelab`` is the code of this repository and ``python`` runs it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, arguments in (("safelab", ["-c", CALL]), ("python", [])):
        words = shlex.join([sys.executable, *arguments])
        (folder / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        (folder / name).chmod(0o755)
    path = os.pathsep.join([str(folder), os.environ["PATH"]])
    # The cores are shared with other tests, and threads that wait for one cost more than they bring.
    return environment({"PATH": path, "COLUMNS": "80", "OMP_NUM_THREADS": "1"})


def test_there_are_six() -> None:
    assert [path.name[:2] for path in TUTORIALS] == [f"{number:02}" for number in range(1, 7)]


@pytest.mark.long
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_it_does_what_it_says(page: Path, tmp_path: Path, shell: dict[str, str]) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for step in steps(page.read_text()):
        if isinstance(step, File):
            (home / step.name).parent.mkdir(parents=True, exist_ok=True)
            (home / step.name).write_text(step.text)
            continue
        done = subprocess.run(
            ["sh", "-e", "-c", step.text], cwd=home, env=shell, text=True, check=False, timeout=1200,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, f"{step.text}\n{done.stdout}"
        if step.printed:
            assert missing(step.printed, done.stdout.splitlines()) is None, f"{step.text}\n{done.stdout}"


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda path: path.stem)
def test_it_states_what_to_expect(page: Path) -> None:
    commands = [step for step in steps(page.read_text()) if isinstance(step, Command)]
    assert len(commands) >= 3
    assert any(step.printed for step in commands)


def test_a_page_is_read_as_a_reader_does() -> None:
    page = "Write\n\n`a/b.py`\n\n```python\nx = 1\n```\n\n```bash\npython a/b.py\n```\n\nIt says\n\n```text\nyes\n```\n"
    assert list(steps(page)) == [File("a/b.py", "x = 1\n"), Command("python a/b.py\n", ("yes",))]


def test_what_is_printed_is_compared_as_the_page_says() -> None:
    assert agrees("reward 0.50  ... tokens/s", "reward 0.52  700 tokens/s")
    assert not agrees("reward 0.50", "reward 0.70")
    assert not agrees("reward 0.50", "rewards 0.50")
    assert missing(["...", "b", "..."], ["a", "b", "c"]) is None
    assert missing(["...", "d", "..."], ["a", "b", "c"]) == "d"
    assert missing(["a", "c"], ["a", "b", "c"]) == "c"
    assert missing(["a"], ["a", "b"]) is not None
