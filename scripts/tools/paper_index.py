"""Rewrite docs/papers.md: every publication that can be reproduced, from the files of its published numbers.

Usage: .venv/bin/python -m scripts.tools.paper_index
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from safelab.results.published.read import Number, Publication, names, read
from safelab.results.words.beside_paper import published_number

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "papers.md"

HEAD = """# Published runs

Made from the files in [`src/safelab/results/published/`](../src/safelab/results/published/__init__.py) by
`python -m scripts.tools.paper_index`: facts with the place where each was read, no texts or pictures of others.

    safelab reproduce --list                                   # the names below
    safelab reproduce --paper safe_paper dry_run=true          # what its runs would be and need
    safelab reproduce --paper safe_paper                       # train them, then compare
    safelab reproduce --paper safe_paper 'arms=[safe,ppo]' seed=0,1 updates=100   # less of it
    safelab report outputs/safe_paper --paper safe_paper       # the comparison alone

Models and prompts come from the hub by their names: a machine without network needs them in its cache, or other ones
by overrides. The report names every key in which runs are not as the preset has them; with another model or reward they
are another experiment, and their numbers say no more than that.

**Equivalent** means that two one-sided tests (TOST) at 5 % find the difference within the margin, which was set
beforehand. **Different** means that a two-sided test at 5 % finds a difference, which may be smaller than the margin.
**Not decided** is neither, and no evidence that the two agree. One run is no test.
"""

NOT_RUN = "Not yet run here: needs a hub and a GPU."


def main() -> None:
    """Write the page where its text changed."""
    text = page([read(name) for name in names()])
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        PAGE.write_text(text, encoding="utf-8")
    print(PAGE)


def page(publications: Sequence[Publication]) -> str:
    """An overview, then a section for each."""
    overview = [[f"[{p.name}](#{p.name})", p.about.title, measured(p)] for p in publications]
    parts = [HEAD, *table(["Name", "Publication", "What we measured"], overview), ""]
    return "\n".join([*parts, *(line for one in publications for line in section(one))])


def section(publication: Publication) -> Iterator[str]:
    """What it claims, our preset, settings, departures, numbers, and what we measured."""
    about = publication.about
    yield from (f"## {publication.name}", "", f"{escaped(about.title)} ({', '.join(map(escaped, about.source))}).", "")
    yield from (
        f"**It claims:** {escaped(about.claim)}",
        "",
        f"**Our preset:** {', '.join(presets(publication.name))}",
        "",
    )
    yield from ("**Settings**", "", *bullets(about.facts), "")
    yield from ("**Departures from it**", "", *bullets(about.departures), "")
    heads = ["Arm", "Quantity", "Published", "Margin", "Our measure", "Read in"]
    yield from ("**Published numbers**", "", *table(heads, [row(number) for number in publication.numbers]), "")
    yield from (f"Margins: {escaped(about.margin_reason)}", "")
    if about.unread:
        yield from ("**Not read**", "", *bullets(about.unread), "")
    yield from ("**What we measured**", "", *(bullets(about.measured) or [NOT_RUN]), "")


def presets(name: str) -> list[str]:
    """Links to the files that train it."""
    files = [Path("conf", group, f"{name}.yaml") for group in ("sweep", "recipe")]
    return [f"[`{file}`](../{file})" for file in files if (ROOT / file).exists()]


def row(number: Number) -> list[str]:
    """A published number with its deviation, margin, measure and place."""
    published = published_number(number.value, number.unit, number.sd, number.n)
    quantity = f"{number.quantity} ({number.note})" if number.note else number.quantity
    margin = "" if number.margin is None else f"±{number.margin:g}"
    measure = f"`{number.metric}`" if number.metric else "none that is the same"
    return [" over ".join(number.arms), escaped(quantity), escaped(published), margin, measure, escaped(number.place)]


def measured(publication: Publication) -> str:
    """What the overview says of our own runs; its section has it all."""
    return "see its section" if publication.about.measured else NOT_RUN


def bullets(lines: Sequence[str]) -> list[str]:
    """A list; a sentence of what we measured may link to the log."""
    return [f"- {escaped(line)}" for line in lines]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table, its cells as they are."""
    return [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]


def escaped(text: str) -> str:
    """Text whose signs Markdown and tables leave alone, on one line; links stay links."""
    for sign in "*<|":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


if __name__ == "__main__":
    main()
