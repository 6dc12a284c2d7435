"""The site's Markdown: ``docs/``, README and the like, with links that lead to pages of the site.

In the repository a page may link to any file. On the site a link into the code leads to a page that shows the file.
"""

import os
import re
import shutil
from pathlib import Path

LINK = re.compile(r"(\]\()([^)#\s]+)(#[^)\s]*)?(\))")
FENCE = re.compile(r"^(```.*?^```$)", re.MULTILINE | re.DOTALL)
AT_THE_TOP = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml", ".sh": "bash", ".ipynb": "json"}


class Pages:
    """What is copied from ``root`` to ``target``; ``shown`` collects the files of code that a page links to."""

    def __init__(self, root: Path, target: Path) -> None:
        self.root = root
        self.target = target
        self.shown: set[str] = set()

    def write(self) -> None:
        """Every page, then a page for each file of code that one of them links to."""
        for path in sorted((self.root / "docs").rglob("*")):
            if path.is_file():
                self.copy(path.relative_to(self.root).as_posix())
        for name in AT_THE_TOP:
            self.copy(name)
        for name in sorted(self.shown):
            self.show(name)

    def copy(self, name: str) -> None:
        """One file of the repository to its place on the site."""
        source, place = self.root / name, self.target / self.place(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix != ".md":
            shutil.copyfile(source, place)
            return
        parts = FENCE.split(source.read_text(encoding="utf-8"))
        text = "".join(part if part.startswith("```") else self.linked(part, name) for part in parts)
        place.write_text(text, encoding="utf-8")

    def place(self, name: str) -> str:
        """Where a file of the repository lies on the site, relative to its root."""
        if name in AT_THE_TOP:
            return AT_THE_TOP[name]
        if name.startswith("docs/"):
            return name.removeprefix("docs/")
        return f"source/{name}.md"

    def linked(self, text: str, name: str) -> str:
        """``text`` of the page ``name``, each of its links turned to the site's page."""

        def turned(found: re.Match[str]) -> str:
            before, link, anchor, after = found.groups()
            if ":" in link:
                return found[0]
            to = os.path.normpath(os.path.join(os.path.dirname(name), link))
            if not (self.root / to).is_file():
                return found[0]  # the site's builder says that it is broken
            if self.place(to).startswith("source/"):
                self.shown.add(to)
            way = os.path.relpath(self.place(to), os.path.dirname(self.place(name)) or ".")
            return f"{before}{way}{anchor or ''}{after}"

        return LINK.sub(turned, text)

    def show(self, name: str) -> None:
        """A page that shows a file of code."""
        text = (self.root / name).read_text(encoding="utf-8")
        place = self.target / self.place(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        language = LANGUAGES.get(Path(name).suffix, "text")
        place.write_text(f"# `{name}`\n\n````{language}\n{text.rstrip()}\n````\n", encoding="utf-8")
