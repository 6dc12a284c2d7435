"""The pages name what there is: every preset, option and metric, and only files that exist."""

import ast
import re
from pathlib import Path

import pytest

from support.objectives import OBJECTIVES, current, golden_batch, objective
from support.runs import small, trained

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
PRESETS = sorted(path.stem for path in (ROOT / "conf" / "algorithm").glob("*.yaml"))
SOURCE = ROOT / "src" / "safelab"
GROUPS = sorted(path for path in (SOURCE / "parts").iterdir() if path.is_dir() and path.name != "__pycache__")
# Groups whose YAMLs are named stacks of one module.
STACKS = {"controller", "shaping"}
MEDIA_TYPE = "application/json"
CODE = re.compile(r"\]\(([^)#:]*(?:src|conf|tests)/[^)#]+)\)")


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_its_place(name: str) -> None:
    assert any(f"`{name}`" in page.read_text() for page in (ROOT / "docs" / "algorithms").glob("*.md"))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_metric_of_an_objective_has_its_row(name: str) -> None:
    vocabulary = golden_batch().logp_old_tok.unsqueeze(-1)
    made, batch = objective(name), golden_batch(logp_vocab_old=vocabulary)
    answer = made.loss(made.init(), current(logp_vocab=vocabulary), batch)
    told = [*answer.metrics_tok, *answer.metrics_seq, *(f"{metric}_max" for metric in answer.greatest_tok)]
    metrics = (ROOT / "docs" / "metrics.md").read_text()
    assert [metric for metric in told if f"`objective/{metric}`" not in metrics] == []


def written_names() -> set[str]:
    """Every text ``section/name`` in the code that makes rows, except names of groups: metrics of all kinds of run."""
    folders = [SOURCE / room for room in ("training", "parts", "crash", "runlog")]
    trees = [ast.parse(path.read_text()) for folder in folders for path in sorted(folder.rglob("*.py"))]
    texts = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    named = {text for text in texts if isinstance(text, str) and re.fullmatch(r"[a-z]+/\w+", text)}
    return {name for name in named if not (SOURCE / "parts" / name).is_dir()} - {MEDIA_TYPE}


def test_every_metric_has_its_row(tmp_path: Path) -> None:
    _, _, (row,) = trained(small(tmp_path, "algorithm=safe", "updates=1"))
    names, metrics = {*written_names(), *row}, (ROOT / "docs" / "metrics.md").read_text()
    assert {"reward/mean", "kl/ref_token_exact", "preference/margin", "critic/loss"} <= names
    assert len(names) > 50
    assert sorted(name for name in names if f"`{name}`" not in metrics) == []


@pytest.mark.parametrize("group", GROUPS, ids=lambda path: path.name)
def test_every_option_is_in_the_table_of_its_group(group: Path) -> None:
    (row,) = re.findall(rf"^\| `{group.name}` \|.*$", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE)
    options = (ROOT / "conf" / group.name).glob("*.yaml") if group.name not in STACKS else []
    assert [option.stem for option in options if f"`{option.stem}`" not in row] == []


def test_links_into_the_code_lead_to_files() -> None:
    links = [(page, link) for page in PAGES for link in CODE.findall(page.read_text())]
    assert len(links) > 40
    assert [(page.name, link) for page, link in links if not (page.parent / link).is_file()] == []
