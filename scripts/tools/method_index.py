"""Rewrite docs/algorithms/index.md: every method, what it needs, what bounds it, who claims what, what we found.

Usage: .venv/bin/python -m scripts.tools.method_index

The first columns are written by hand in docs/algorithms/methods.csv, the last come from docs/studies/*.csv, which
``scripts.studies.results`` makes from the studies' reports.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from safelab.results.text import interval, number

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "algorithms"
STUDIES = ROOT / "docs" / "studies"
PRESETS = ROOT / "conf" / "algorithm"

Row = Mapping[str, str]

HEAD = """# All methods

Every preset of `algorithm=`, with its page. *Needs*: beside a policy, prompts and a reward. *Bounds*: what keeps the
policy near where it was. *Claims* are their authors' own, from abstracts, code and public notes, and nobody here has
checked them at their size. The last two columns: what we found in our two [embedded worlds](../worlds.md), at the best
of five learning rates each; – where the study has not been made yet. What was measured before both worlds were there,
and what it does and does not say: [Which stabiliser holds](../stability.md).

*Fidelity*, of the formula: *paper* follows the paper's text, *from notes* where only public notes on it or frameworks'
code were read; *authors' code* follows what the authors released, also where it departs from their text; *inferred*
fills gaps by choices of ours; *analogue* carries a method made for something else over to language models. Each page
says what departs.

Beside any method: [corrections](corrections.md) for rollouts off the policy, a [gradient penalty or a moving
reference](regularisers.md), an [adaptive rank](adaptive_lora.md).

Made from `docs/algorithms/methods.csv` and `docs/studies/` by `python -m scripts.tools.method_index`.
"""

COLUMNS = (
    "Method",
    "Fidelity",
    "Needs",
    "Bounds",
    "Claims",
    "Reviews: gold, KL, hacked",
    "Tasks: share right, crashed",
)

NOT_MEASURED = "–"

FIDELITY = re.compile(r"^# fidelity: (paper(?:, from notes)?|authors_code|inferred|analogue)", re.MULTILINE)


def main() -> None:
    """Write the page where its text changed."""
    small, exact = (found(STUDIES / f"{study}.csv") for study in ("stability", "stability_exact"))
    text = page(methods(), small, exact)
    file = FOLDER / "index.md"
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")
    print(file)


def methods() -> list[Row]:
    """The rows that are written by hand."""
    with (FOLDER / "methods.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def found(file: Path) -> dict[str, Row]:
    """What a study found, by method; nothing before it has been run."""
    if not file.exists():
        return {}
    with file.open(encoding="utf-8", newline="") as lines:
        return {row["method"]: row for row in csv.DictReader(lines)}


def page(rows: Sequence[Row], small: Mapping[str, Row], exact: Mapping[str, Row]) -> str:
    """The page."""
    cells = [COLUMNS, tuple("---" for _ in COLUMNS)]
    for row in rows:
        name = row["method"]
        link = f"[`{name}`]({row['page']}#{anchor(FOLDER / row['page'], name)})"
        claims = row["claim"][:1].upper() + row["claim"][1:]
        ours = (in_small(small.get(name)), in_exact(exact.get(name)))
        cells.append((link, fidelity(name), row["needs"], row["bound"], claims, *ours))
    return HEAD + "\n" + "\n".join(f"| {' | '.join(row)} |" for row in cells) + "\n"


def fidelity(name: str) -> str:
    """What the preset follows, as its first line says."""
    told = FIDELITY.search((PRESETS / f"{name}.yaml").read_text(encoding="utf-8"))
    assert told is not None, f"conf/algorithm/{name}.yaml must begin with its fidelity"
    return told[1].replace("authors_code", "authors' code")


def anchor(file: Path, name: str) -> str:
    """The address of the heading that names the method on its page; empty where the whole page is about it."""
    headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    named = [heading for heading in headings if f"`{name}`" in heading] or headings[:1]
    return re.sub(r"[^\w\- ]", "", named[0].lower()).strip().replace(" ", "-")


def in_small(row: Row | None) -> str:
    """Gold score, KL and hacked runs in the world of reviews."""
    if row is None:
        return NOT_MEASURED
    return f"{with_interval(row, 'gold_final')}, {number(float(row['kl_final']), 2)}, {row['hacking']} of {row['runs']}"


def in_exact(row: Row | None) -> str:
    """Share of right answers, and runs whose reward crashed, in the world of tasks."""
    if row is None:
        return NOT_MEASURED
    return f"{with_interval(row, 'reward_final')}, {row['reward']} of {row['runs']}"


def with_interval(row: Row, name: str) -> str:
    """A mean with its interval."""
    mean, low, high = (float(row[key]) for key in (name, f"{name}_low", f"{name}_high"))
    return f"{number(mean, 2)} {interval(low, high, 2)}"


if __name__ == "__main__":
    main()
