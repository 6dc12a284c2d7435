import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from safelab.results.model import Report
from safelab.results.page.document import Choices, build_report, to_json
from safelab.results.page.html import content_policy, data_element, render
from safelab.results.page.palette import DARK, LIGHT, slot
from safelab.results.page.plots import figures, smooth
from safelab.results.runs.load import load

from .conftest import MakeRun

SCRIPT = "<script>document.documentElement.dataset.pwned='1'</script>"
HOSTILE = (
    f"</script>{SCRIPT}",
    "<img src=x onerror=\"document.documentElement.dataset.pwned='1'\">",
    "\"'><svg onload=\"document.documentElement.dataset.pwned='1'\">",
    "<a href=\"javascript:document.documentElement.dataset.pwned='1'\">x</a>",
    "{{ 7 * 7 }}<!--",
)


def hostile_runs(make_run: MakeRun, tmp_path: Path) -> None:
    """Runs whose every text tries to get out: arm, experiment, overrides, configuration, reasons, prompts, answers."""
    for number, text in enumerate(HOSTILE):
        make_run(
            text,
            0,
            rewards=[0.5, 0.6],
            columns={
                "crash/reward": [0, 1],
                "kl/ref_token_exact": [0.0, 0.1],
                "controller/phase": [text, "other"],
                text: [0.5, 0.6],
            },
            directory=tmp_path / "runs" / str(number),
            experiment=text,
            overrides=[text],
            config={text: text},
            samples=[{"prompt": text, "response": text, "reward": 0.5}],
            status="failed",
            reason=text,
            command=text,
            versions={text: text},
            git_commit=text,
            tags=[text],
            notes=text,
            host=text,
        )


@pytest.fixture
def hostile(make_run: MakeRun, tmp_path: Path) -> Report:
    hostile_runs(make_run, tmp_path)
    loaded = load([tmp_path], unfinished=True)
    asked = Choices(baseline=loaded.runs[0].whole, metrics=[HOSTILE[0]], command=HOSTILE[0])
    return build_report(loaded, asked)


class Elements(HTMLParser):
    """Every element and attribute that a parser sees, and the texts of scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def parsed(page: str) -> Elements:
    found = Elements()
    found.feed(page)
    return found


def test_no_text_of_a_run_becomes_an_element(hostile: Report) -> None:
    found = parsed(render(hostile)).seen
    scripts = [attrs for tag, attrs in found if tag == "script"]
    assert [attrs.get("type") for attrs in scripts] == ["application/json", None, None]
    assert not [tag for tag, _ in found if tag in ("img", "iframe", "object", "embed", "base")]
    assert not [name for _, attrs in found for name in attrs if name.startswith("on")]
    links = [attrs["href"] for tag, attrs in found if tag == "a"]
    assert links
    assert all(str(link).startswith("#") for link in links)


def test_hostile_text_is_shown_as_it_is(hostile: Report) -> None:
    page = render(hostile)
    assert all(str(escape(text)) in page for text in HOSTILE)


def test_names_in_figures_are_escaped_for_plotly_too(hostile: Report) -> None:
    drawn = figures(hostile)
    names = {str(trace.get("name", "")) for charts in drawn.values() for chart in charts for trace in chart["traces"]}
    rows = [*drawn["crashes"], *drawn["phases"]]
    labels = {label for chart in rows for label in chart["layout"]["yaxis"]["categoryarray"]}
    assert len(rows) == 2
    assert any("&lt;" in name for name in names)
    assert not [text for text in names | labels if "<" in text]


def test_only_the_pages_own_scripts_may_run(hostile: Report) -> None:
    page = render(hostile)
    (policy,) = [attrs["content"] for tag, attrs in parsed(page).seen if attrs.get("http-equiv")]
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert len(hashes) == 2
    assert str(policy).startswith("default-src 'none'; script-src ")
    assert re.findall(r"'sha256-(.*?)'", str(policy)) == hashes
    assert "unsafe-eval" not in str(policy)
    assert "http" not in str(policy)


def test_nothing_is_fetched_from_anywhere(hostile: Report) -> None:
    found = parsed(render(hostile)).seen
    assert not [attrs for _, attrs in found if "src" in attrs or "srcset" in attrs]
    assert not [tag for tag, _ in found if tag == "link"]


@given(st.text())
def test_data_comes_back_and_cannot_end_its_element(text: str) -> None:
    element = str(data_element({"text": text, "inside": [text]}))
    assert not set("<>&") & set(element)
    assert json.loads(element) == {"text": text, "inside": [text]}


def test_the_policy_names_each_script() -> None:
    digest = base64.b64encode(hashlib.sha256(b"1").digest()).decode()
    assert f"script-src 'sha256-{digest}';" in content_policy("1")


def test_every_drawn_and_printed_number_is_in_report_json(make_run: MakeRun, tmp_path: Path) -> None:
    for arm, level in (("ppo", 0.4), ("safe", 0.6)):
        for seed in (0, 1):
            make_run(arm, seed, rewards=[level + 0.01 * seed, level + 0.02], columns={"kl/ref_token_exact": [0.0, 0.2]})
    report = build_report(load([tmp_path]), Choices(baseline="ppo"))
    page, saved = render(report), json.loads(to_json(report))
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    chart = next(chart for chart in data["charts"]["curves"] if chart["metric"] == "reward/mean")
    panel = next(panel for panel in saved["panels"] if panel["metric"] == "reward/mean")
    means = [trace["y"] for trace in chart["traces"] if trace["meta"]["role"] == "mean"]
    assert means == [line["mean"] for line in panel["lines"]]
    for arm in saved["arms"]:
        found = arm["estimates"]["reward_mean"]
        bounds = f"[{found['low']:.3f}, {found['high']:.3f}]"
        assert f'data-value="{found["mean"]}">{found["mean"]:.3f}<span class="ci">{bounds}' in page


def numbers_in(value: object) -> set[float]:
    """Every number anywhere in a JSON value."""
    if isinstance(value, dict):
        return set().union(*map(numbers_in, value.values()))
    if isinstance(value, list):
        return set().union(*map(numbers_in, value))
    return {float(value)} if isinstance(value, int | float) and not isinstance(value, bool) else set()


def test_every_cell_of_every_table_is_in_report_json(make_run: MakeRun, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for arm in ("ppo", "safe"):
        for seed in range(3):
            names = ("kl/ref_token_exact", "reward/gold_mean", "time/total_s", "policy/entropy_token", "critic/bias")
            columns = {name: rng.random(30).tolist() for name in names}
            make_run(arm, seed, rewards=rng.random(30).tolist(), columns={**columns, "crash/reward": [0] * 29 + [1]})
    report = build_report(load([tmp_path]), Choices(baseline="ppo"))
    page, saved = render(report), numbers_in(json.loads(to_json(report)))
    cells = [attrs["data-value"] for _, attrs in parsed(page).seen if attrs.get("data-value")]
    assert len(cells) > 100
    assert not [cell for cell in cells if float(str(cell)) not in saved]
    # Equal KL, the overhead and the crash test are among them, not only the arms' means.
    safe = next(row for row in report.equal_kl if row.arm == "safe")
    assert {str(safe.gold.mean), str(report.overheads["safe"].mean)} <= set(cells)


def test_of_many_runs_the_timeline_has_those_with_a_crash(make_run: MakeRun, tmp_path: Path) -> None:
    for seed in range(70):
        make_run("ppo", seed, columns={"crash/reward": [0, int(seed % 10 == 0)]})
    (chart,) = figures(build_report(load([tmp_path]), Choices(baseline="ppo")))["crashes"]
    assert chart["unit"] == "the 7 of 70 runs that had one"
    assert chart["layout"]["yaxis"]["categoryarray"] == [f"ppo {seed}" for seed in range(60, -1, -10)]


def test_smoothing_by_hand() -> None:
    assert smooth([1.0, 3.0, None, 5.0], 2) == [1.0, 2.0, 3.0, 5.0]
    assert smooth([None], 3) == [None]


def test_arms_differ_without_colour_when_colours_come_again() -> None:
    assert len(LIGHT) == len(DARK)
    assert len({slot(index)[:2] for index in range(4 * len(LIGHT))}) == 4 * len(LIGHT)
