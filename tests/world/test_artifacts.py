"""A model is made anew when the code that makes it changes: every module that takes part is in the hash."""

import ast
from pathlib import Path

from safelab.world import artifacts

PACKAGE = Path(artifacts.__file__).parents[1]
WORLD = sorted((PACKAGE / "world").glob("*.py"))

WITHOUT_NUMBERS = {
    "corpus/continuation.py",
    "corpus/dialogue.py",
    "errors.py",
    "maths/divergence.py",
    "options.py",
    "pretrained/readable.py",
    "runlog/durable.py",
    "types.py",
}
"""Imported as well, but no number of the world's models comes from them."""


def modules(path: Path) -> set[str]:
    """Modules of the project that a file imports, as paths inside the package."""
    names = {node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
    inside = {f"{name.removeprefix('safelab.').replace('.', '/')}.py" for name in names if name.startswith("safelab.")}
    return {name for name in inside if not name.startswith("world/")}


def test_every_module_that_a_model_is_made_by_is_in_the_hash() -> None:
    reached, todo = set(), list(WORLD)
    while todo:
        new = modules(todo.pop()) - reached - WITHOUT_NUMBERS
        reached |= new
        todo += [PACKAGE / name for name in new]
    assert reached == set(artifacts.SOURCES)
