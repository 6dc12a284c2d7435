"""The pages of the Python code: what its docstrings say, module by module."""

from pathlib import Path

PAGES = {
    "contracts": ("What a part is, and what each group must offer", "safelab/contracts"),
    "types": ("The values that pass through an update", "safelab/types.py"),
    "maths": ("Formulas", "safelab/maths"),
    "crash": ("What counts as a crash", "safelab/crash"),
}
"""Page -> its title, and the module or package below ``src/`` whose public modules it shows."""


def modules(source: Path, place: str) -> list[str]:
    """The dotted names of the modules that a page shows."""
    path = source / place
    files = [path] if path.is_file() else sorted(path.glob("*.py"))
    return [
        ".".join(file.relative_to(source).with_suffix("").parts)
        for file in files
        if file.name != "__init__.py" and not file.name.startswith("_")
    ]


def page(source: Path, name: str) -> str:
    """One page, in the words of mkdocstrings."""
    heading, place = PAGES[name]
    return "\n".join([f"# {heading}", "", *(f"::: {module}\n" for module in modules(source, place))])


def write(source: Path, folder: Path) -> None:
    """All pages, into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PAGES:
        (folder / f"{name}.md").write_text(page(source, name), encoding="utf-8")
