"""The pages name what there is: every preset, every metric of an objective, every file that a page links to."""

import re
from pathlib import Path

import pytest

from support.objectives import OBJECTIVES, current, golden_batch, objective

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
PRESETS = sorted(path.stem for path in (ROOT / "conf" / "algorithm").glob("*.yaml"))
CODE = re.compile(r"\]\(([^)#:]*(?:src|conf|tests)/[^)#]+)\)")


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_its_place(name: str) -> None:
    assert any(f"`{name}`" in page.read_text() for page in (ROOT / "docs" / "algorithms").glob("*.md"))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_metric_of_an_objective_has_its_row(name: str) -> None:
    vocabulary = golden_batch().logp_old_tok.unsqueeze(-1)
    made, batch = objective(name), golden_batch(logp_vocab_old=vocabulary)
    told = made.loss(made.init(), current(logp_vocab=vocabulary), batch).metrics_tok
    metrics = (ROOT / "docs" / "metrics.md").read_text()
    assert [metric for metric in told if f"`objective/{metric}`" not in metrics] == []


def test_links_into_the_code_lead_to_files() -> None:
    links = [(page, link) for page in PAGES for link in CODE.findall(page.read_text())]
    assert len(links) > 40
    assert [(page.name, link) for page, link in links if not (page.parent / link).is_file()] == []
