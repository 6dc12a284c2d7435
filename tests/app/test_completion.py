import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from safelab.app.cli import COMMANDS
from support.commands import call_here, environment


@pytest.fixture
def complete(tmp_path: Path, monkeypatch, capfd):
    """What Tab offers after a line."""

    def ask(line: str) -> list[str]:
        monkeypatch.setenv("COMP_LINE", line)
        monkeypatch.setenv("COMP_POINT", str(len(line)))
        done = call_here(tmp_path, monkeypatch, capfd, "-sc", "query=bash")
        assert (done.code, done.err) == (0, "")
        return done.out.split()

    return ask


def test_commands(complete) -> None:
    assert complete("safelab ") == sorted(COMMANDS)
    assert complete("safelab tr") == ["train"]
    assert complete("safelab nothing") == []


def test_options_of_a_group(complete) -> None:
    assert {"algorithm=safe", "algorithm=ppo"} <= set(complete("safelab train algorithm="))
    assert complete("safelab train algorithm=ppo_m") == ["algorithm=ppo_matched"]


def test_groups_and_keys(complete) -> None:
    assert complete("safelab train controller/ga") == ["controller/gate="]
    assert complete("safelab train optimizer.l") == ["optimizer.lr="]
    assert "critic=" in complete("safelab train algorithm=safe cri")


def test_commands_without_overrides_leave_it_to_the_shell(complete) -> None:
    assert complete("safelab report ") == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="completion of bash needs bash")
def test_in_a_real_shell(tmp_path: Path) -> None:
    """The printed function, sourced, and called as bash calls it at Tab."""
    program = f"#!{sys.executable}\nimport sys\nfrom safelab.app.cli import main\nsys.exit(main())\n"
    (tmp_path / "safelab").write_text(program)
    (tmp_path / "safelab").chmod(0o755)
    line = "safelab train algorithm=ppo_m"
    script = f"""
        eval "$(safelab train -sc install=bash)"
        COMP_LINE="{line}" COMP_POINT={len(line)} COMP_CWORD=2
        COMP_WORDS=({line})
        hydra_bash_completion
        echo "${{COMPREPLY[@]}}"
    """
    env = environment({"PATH": f"{tmp_path}:/usr/bin:/bin"})
    done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["algorithm=ppo_matched"], done.stderr
