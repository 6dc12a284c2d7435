"""The page of publications is that of the files, and a number stands on it with all that belongs to it."""

from pathlib import Path

import pytest

from safelab.results.published.read import About, Number, Publication, names, read
from scripts.tools import paper_index

ABOUT = {
    "title": "A study", "source": ["arXiv 1"], "claim": "a | b", "settings": {"lr": 3e-6}, "departures": ["one seed"],
    "margin_reason": "half of it", "unread": [],
}  # fmt: skip
NUMBER = {
    "arm": "ppo", "quantity": "reward", "metric": "reward_final", "value": 0.5, "sd": 0.1, "n": 4.0, "unit": "reward",
    "margin": 0.05, "place": "table 1", "note": "",
}  # fmt: skip


def test_the_committed_page_is_up_to_date() -> None:
    made = paper_index.page([read(name) for name in names()])
    assert paper_index.PAGE.read_text(encoding="utf-8") == made, "run python -m scripts.tools.paper_index"


def test_a_publication_stands_there_whole() -> None:
    ratio = Number(
        **{**NUMBER, "arm": "safe/ppo", "metric": "", "value": 5.15, "sd": None, "n": None, "unit": "%", "margin": None}
    )
    crashed = Number(**{**NUMBER, "metric": "diverged", "value": 0.3, "sd": None, "n": 10.0, "unit": "share of runs"})
    beaten = Number(**{**NUMBER, "value": -1.5, "n": 1.0, "sd": None})
    one = Publication(name="study", about=About(**ABOUT), numbers=[Number(**NUMBER), ratio, crashed, beaten])
    text = paper_index.page([one])
    assert "| ppo | reward | 0.5 reward (SD 0.1, 4 runs) | ±0.05 | `reward_final` | table 1 |" in text
    assert "| safe over ppo | reward | 5.15 % |  | none that is the same | table 1 |" in text
    assert "| ppo | reward | 30 % of runs (10 runs) | ±0.05 | `diverged` | table 1 |" in text
    assert "| ppo | reward | −1.5 reward (1 run) | ±0.05 | `reward_final` | table 1 |" in text
    assert "**It claims:** a \\| b" in text
    assert "- lr: 3e-06" in text
    assert text.count(paper_index.NOT_RUN) == 2
    told = paper_index.page(
        [one.model_copy(update={"about": About(**{**ABOUT, "measured": "Nothing, see docs/log.md."})})]
    )
    assert "- Nothing, see docs/log.md." in told
    assert paper_index.NOT_RUN not in told


def test_it_writes_only_what_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paper_index, "PAGE", tmp_path / "papers.md")
    paper_index.main()
    before = paper_index.PAGE.stat().st_mtime_ns
    paper_index.main()
    assert paper_index.PAGE.stat().st_mtime_ns == before
    assert paper_index.PAGE.read_text().startswith("# Published runs")
