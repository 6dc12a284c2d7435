"""Every link of a page to a file of the repository leads to one, and every anchor to a heading."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "AGENTS.md")
PAGES = sorted([*(ROOT / name for name in TOP), *(ROOT / "docs").rglob("*.md"), *(ROOT / "docs").rglob("*.ipynb")])
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
CODE = re.compile(r"^```.*?^```$|^    .*$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@cache
def anchors(page: Path) -> frozenset[str]:
    """What the headings of a page are called in an address: in small letters, hyphens for spaces, no punctuation."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return frozenset(
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in HEADING.findall(text)
    )


def broken(page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    text = page.read_text(encoding="utf-8")
    links = LINK.findall(text if page.suffix == ".ipynb" else CODE.sub("", text))
    found = []
    for link, anchor in links:
        if ":" in link:
            continue
        target = (page.parent / link).resolve() if link else page
        if not target.is_file() or (anchor and anchor not in anchors(target)):
            found.append(f"{link}#{anchor}" if anchor else link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_its_links_lead_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# The `one`, here\n")
    page = tmp_path / "b.md"
    page.write_text(
        "[a](a.md) [b](a.md#the-one-here) [c](#no) [d](c.md) `[e](d.md)`\n\n    [f](e.md)\n\n[g](https://x.y/z)\n"
    )
    assert broken(page) == ["#no", "c.md"]
