"""Every script is run by a test: ``scripts/FOLDER/NAME.py`` by ``tests/scripts/FOLDER/test_NAME.py``."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(path for path in (ROOT / "scripts").glob("*/**/*.py") if path.name != "__init__.py")


def owed_test(script: Path) -> Path:
    """Where its test is; the modules of a script that is a folder share one."""
    place = script.relative_to(ROOT / "scripts").with_suffix("")
    place = place.parent if (script.parent / "__main__.py").exists() else place
    return ROOT / "tests" / "scripts" / place.with_name(f"test_{place.name}.py")


def test_there_are_scripts() -> None:
    assert len(SCRIPTS) > 10


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_it_has_a_test_that_imports_it(script: Path) -> None:
    test = owed_test(script)
    assert test.is_file(), f"{script.relative_to(ROOT)} has no {test.relative_to(ROOT)}"
    folder = ".".join(script.relative_to(ROOT).parent.parts)
    imported = {
        name
        for node in ast.walk(ast.parse(test.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
        for name in (node.module, f"{node.module}.{alias.name}")
    }
    assert f"{folder}.{script.stem}" in imported


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_it_edits_no_path(script: Path) -> None:
    assert "sys.path" not in script.read_text()
