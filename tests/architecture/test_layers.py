"""What import-linter cannot say; the contracts of pyproject.toml are held by `make check`."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MATHS = sorted((ROOT / "src" / "safelab" / "maths").glob("*.py"))


def imported(path: Path) -> set[str]:
    """Every module and name that a file imports, in full."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_there_is_maths() -> None:
    assert len(MATHS) >= 8


@pytest.mark.parametrize("path", MATHS, ids=lambda path: path.name)
def test_maths_knows_functions_not_modules(path: Path) -> None:
    layers = {name for name in imported(path) if name == "torch.nn" or name.startswith("torch.nn.")}
    assert {name for name in layers if not name.startswith("torch.nn.functional")} == set()


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_imports_nothing_heavy(argument: str) -> None:
    script = f"""
import sys
from safelab.app.cli import main
main([{argument!r}])
heavy = {{"torch", "transformers", "hydra", "omegaconf", "pandas", "numpy", "wandb", "matplotlib", "plotly", "rich"}}
sys.exit(", ".join(sorted(heavy & set(sys.modules))) or 0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_composing_imports_no_torch() -> None:
    """``--cfg``, ``--help`` and tab completion answer at once."""
    script = """
import sys
from safelab.app.cli import main
main(["train", "--cfg", "job"])
sys.exit(", ".join(sorted({"torch", "transformers", "pandas"} & set(sys.modules))) or 0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
