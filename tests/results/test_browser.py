"""The page in a real browser: nothing that a run says is executed, and the page's own code does its work."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from safelab.results.page.document import Choices, build_report
from safelab.results.page.html import write_page
from safelab.results.runs.load import load

from .conftest import MakeRun
from .test_page import HOSTILE, SCRIPT, hostile_runs

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH")


def dom(page: Path, profile: Path, *flags: str) -> str:
    """The document after its scripts have run."""
    quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command = [
        str(CHROMIUM),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        *quiet,
        f"--user-data-dir={profile}",
        "--window-size=1280,6000",
        "--virtual-time-budget=10000",
        *flags,
        "--dump-dom",
        page.as_uri(),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def pwned(document: str) -> bool:
    return re.search(r"<html[^>]*data-pwned", document) is not None


def test_hostile_runs_execute_nothing_and_the_page_works(make_run: MakeRun, tmp_path: Path) -> None:
    hostile_runs(make_run, tmp_path)
    report = build_report(load([tmp_path / "runs"], unfinished=True), Choices())
    document = dom(write_page(report, tmp_path), tmp_path / "profile")
    assert not pwned(document)
    # The charts near the top were drawn, and the samples were put in as text.
    assert document.count('class="main-svg"') >= 2
    assert document.count('class="answer"') == len(HOSTILE)
    assert "<img" not in document.split("<main>")[1].split('<script type="application/json"')[0]


def test_a_page_without_protection_would_have_been_caught(tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text(f"<!doctype html><html><body>{SCRIPT}</body></html>")
    assert pwned(dom(page, tmp_path / "profile"))


ACTIONS = """
setTimeout(() => {
  const result = {};
  const heads = document.querySelectorAll("#arms thead button");
  const names = () => [...document.querySelectorAll("#arms tbody .arm")].map((cell) => cell.textContent.trim());
  heads[2].click(); result.rising = names();
  heads[2].click(); result.falling = names();
  const label = (trace) => trace.meta.role + trace.meta.arm;
  const shown = () => byId("kl-ref_token_exact").data.filter((trace) => trace.visible).map(label);
  result.before = shown();
  byId("show-seeds").click(); byId("show-bands").click(); byId("log-scale").click();
  document.querySelector('[data-toggle-arm="1"]').click();
  result.after = shown();
  result.axis = byId("kl-ref_token_exact")._fullLayout.yaxis.type;
  result.samples = [...document.querySelectorAll(".answer b")].map((name) => name.textContent);
  const out = document.createElement("pre");
  out.id = "result"; out.textContent = JSON.stringify(result);
  document.body.append(out);
}, 3000);
"""


def test_sorting_switching_and_the_log_scale(make_run: MakeRun, tmp_path: Path) -> None:
    for arm, level in (("ppo", 0.5), ("safe", 0.7), ("a", 0.6)):
        for seed in (0, 1):
            columns = {"kl/ref_token_exact": [0.1, 0.2 + 0.1 * seed]}
            samples = [{"prompt": "p", "response": "r", "reward": 0.5}]
            make_run(arm, seed, rewards=[level, level], columns=columns, samples=samples)
    page = write_page(build_report(load([tmp_path / "runs"]), Choices(baseline="ppo")), tmp_path)
    # The page's own policy would stop this test's script, too: here, and only here, it is taken out.
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text())
    page.write_text(text.replace("</body>", f"<script>{ACTIONS}</script></body>"))
    found = re.search(r'<pre id="result">(.*?)</pre>', dom(page, tmp_path / "profile"))
    assert found is not None
    result = json.loads(found[1])
    assert result["rising"] == ["ppo", "a", "safe"]
    assert result["falling"] == ["safe", "a", "ppo"]
    assert result["before"] == ["band0", "band1", "band2", "mean0", "mean1", "mean2"]
    assert result["after"] == ["seed0", "seed2", "mean0", "mean2"]  # arm 1 is "a": baseline first, then by name
    assert result["axis"] == "log"
    assert result["samples"] == ["ppo", "safe"]
