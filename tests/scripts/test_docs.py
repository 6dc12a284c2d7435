"""The site's Markdown is made of what is there: pages whose links lead somewhere, keys with their comments."""

from pathlib import Path

import pytest
from scripts.docs import api, commands, examples, keys, nav
from scripts.docs.__main__ import main
from scripts.docs.offline import fetching
from scripts.docs.offline import main as check_offline
from scripts.docs.pages import Pages

ROOT = Path(__file__).resolve().parents[2]

YAML = """\
# @package _global_
# What it is for,
# in two lines.
defaults:
  - _self_
name: it
rate: 3.0e-4                   # a step | measured
inner:
  # what stands above
  flag: true
  values: [a, b]               # two
  deep: {}                     # nothing yet
"""


def test_keys_have_their_values_and_comments() -> None:
    assert keys.title(YAML) == "What it is for, in two lines."
    assert keys.keys(YAML) == [
        keys.Key("name", "it", ""),
        keys.Key("rate", "3.0e-4", "a step | measured"),
        keys.Key("inner.flag", "true", "what stands above"),
        keys.Key("inner.values", "[a, b]", "two"),
        keys.Key("inner.deep", "{}", "nothing yet"),
    ]
    assert keys.table("g", keys.keys(YAML)[1:2])[2] == "| `g.rate` | `3.0e-4` | a step \\| measured |"


def test_every_option_of_every_group_has_its_section(tmp_path: Path) -> None:
    keys.write(ROOT / "conf", tmp_path)
    text = "\n".join(path.read_text() for path in tmp_path.glob("*.md"))
    options = [path.relative_to(ROOT / "conf") for path in (ROOT / "conf").rglob("*/*.yaml")]
    assert len(options) > 80
    assert [path for path in options if f"## `{path.parent.as_posix()}={path.stem}`" not in text] == []
    assert "| `optimizer.epochs` | `2` | passes over one rollout |" in text


def test_links_lead_to_pages_of_the_site(tmp_path: Path) -> None:
    root, site = tmp_path / "root", tmp_path / "site"
    (root / "docs" / "deep").mkdir(parents=True)
    (root / "src").mkdir()
    (root / "src" / "x.py").write_text("x = 1\n")
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        (root / name).write_text("[a](docs/deep/a.md#b) [x](src/x.py)\n\n```text\n[a](docs/deep/a.md)\n```\n")
    (root / "docs" / "deep" / "a.md").write_text("[home](../../README.md) [out](https://example.org) [no](gone.md)\n")
    Pages(root, site).write()
    assert (site / "index.md").read_text() == (
        "[a](deep/a.md#b) [x](source/src/x.py.md)\n\n```text\n[a](docs/deep/a.md)\n```\n"
    )
    assert (site / "deep" / "a.md").read_text() == "[home](../index.md) [out](https://example.org) [no](gone.md)\n"
    assert "x = 1" in (site / "source" / "src" / "x.py.md").read_text()


def test_the_page_of_commands_says_what_help_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "help_of", lambda name: f"usage: safelab {name}")
    page = commands.page()
    assert [name for name in commands.COMMANDS if f"## `safelab {name}`" not in page] == []


def test_help_is_asked_of_the_command() -> None:
    assert commands.help_of("runs").startswith("usage: safelab runs")


def test_the_pages_of_the_code_name_public_modules() -> None:
    assert "safelab.maths.divergence" in api.modules(ROOT / "src", "safelab/maths")
    assert api.modules(ROOT / "src", "safelab/types.py") == ["safelab.types"]
    assert "::: safelab.types" in api.page(ROOT / "src", "types")


def test_examples_are_the_reports_that_are_there(tmp_path: Path) -> None:
    examples.write(tmp_path / "outputs", tmp_path / "none")
    assert "make demo docs" in (tmp_path / "none" / "index.md").read_text()
    (tmp_path / "outputs" / "mine" / "report").mkdir(parents=True)
    (tmp_path / "outputs" / "mine" / "report" / "index.html").write_text("<p>")
    examples.write(tmp_path / "outputs", tmp_path / "one")
    assert "[mine](mine.html)" in (tmp_path / "one" / "index.md").read_text()
    assert (tmp_path / "one" / "mine.html").read_text() == "<p>"


def test_a_page_without_an_entry_and_an_entry_without_a_page_are_faults(tmp_path: Path) -> None:
    (tmp_path / "nav.toml").write_text('[project]\nnav = [{ "A" = "a.md" }, { "B" = ["b.md", { "C" = "c.md" }] }]\n')
    for name in ("a", "b", "d", "source/e"):
        (tmp_path / "pages" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pages" / f"{name}.md").write_text("")
    assert nav.faults(tmp_path / "nav.toml", tmp_path / "pages") == [
        "nav.toml names c.md, which is no page",
        "nav.toml must name d.md in nav",
    ]


def test_the_navigation_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "help_of", lambda name: f"usage: safelab {name}")
    assert main(["--output", str(tmp_path / "pages")]) == 0


@pytest.mark.parametrize(
    ("page", "fetched"),
    [
        ('<script src="https://a.example/x.js"></script>', True),
        ('<script async src=//a.example/x.js></script>', True),
        ('<link rel="stylesheet" href="https://a.example/x.css">', True),
        ('<img alt="a" src="http://a.example/x.png">', True),
        ('<a href="https://a.example">a</a> <script src="assets/x.js"></script>', False),
        ('<link rel="stylesheet" href="assets/x.css"> <link rel="canonical" href="https://a.example">', False),
    ],
)  # fmt: skip
def test_what_a_page_would_fetch_is_found(tmp_path: Path, page: str, fetched: bool) -> None:
    (tmp_path / "index.html").write_text(page)
    assert bool(fetching(tmp_path)) is fetched
    assert check_offline([str(tmp_path)]) == int(fetched)


def test_a_font_from_elsewhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "x.css").write_text("@font-face { src: url(https://a.example/f.woff2) }")
    assert fetching(tmp_path)
