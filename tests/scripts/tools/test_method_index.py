"""The page of all methods has every preset once, links that lead to its section, and the numbers of the studies."""

import re
from pathlib import Path

from scripts.tools import method_index

ROWS = method_index.methods()


def test_every_preset_has_one_row() -> None:
    presets = sorted(path.stem for path in method_index.PRESETS.glob("*.yaml"))
    assert sorted(row["method"] for row in ROWS) == presets


def test_no_cell_is_empty_but_for_needs() -> None:
    assert [row["method"] for row in ROWS if not (row["bound"] and row["claim"])] == []


def test_the_committed_page_is_up_to_date() -> None:
    small, exact = (
        method_index.found(method_index.STUDIES / f"{name}.csv") for name in ("stability", "stability_exact")
    )
    made = method_index.page(ROWS, small, exact)
    committed = (method_index.FOLDER / "index.md").read_text(encoding="utf-8")
    assert committed == made, "run python -m scripts.tools.method_index"


def test_a_link_leads_to_the_section_that_names_the_method(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text("# A page\n\n## `dpo` and `cdpo`\n\n## `ipo`\n")
    assert method_index.anchor(file, "cdpo") == "dpo-and-cdpo"
    assert method_index.anchor(file, "safe") == "a-page"


def test_what_a_study_found_stands_in_its_row() -> None:
    numbers = {"gold_final": "1.234", "gold_final_low": "1.2", "gold_final_high": "-1.3", "kl_final": "0.456"}
    tasks = {"reward_final": "0.5", "reward_final_low": "0.25", "reward_final_high": "0.75", "reward": "1"}
    row = {"method": "ppo", "runs": "5", "hacking": "2", **numbers, **tasks}
    assert method_index.in_small(row) == "1.23 [1.20, \u22121.30], 0.46, 2 of 5"
    assert method_index.in_exact(row) == "0.50 [0.25, 0.75], 1 of 5"
    assert method_index.in_small(None) == "–"


def test_the_readme_counts_them_and_links_each_that_it_names() -> None:
    readme = (method_index.ROOT / "README.md").read_text(encoding="utf-8")
    assert f"**{len(ROWS)} methods and variants behind one loop**" in readme
    prose = re.sub(r"^    .*$", "", readme, flags=re.MULTILINE)
    pages = {row["method"]: row["page"] for row in ROWS}
    named = [name for name in re.findall(r"`(\w+)`", prose) if name in pages]
    linked = re.findall(r"\[`(\w+)`\]\(docs/algorithms/([\w.]+)", prose)
    assert len(named) >= 3
    assert sorted(named) == sorted(name for name, page in linked if pages.get(name) == page)
