"""The page: one file, no network, and no text of a model or a configuration can become markup or script.

Jinja escapes all text; data goes into the page as JSON in which ``<``, ``>`` and ``&`` are escaped, so that nothing
can end its element; and a Content-Security-Policy lets only the page's own scripts run, known by their SHA-256.
"""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from safelab.crash.table import kind_of
from safelab.results import text
from safelab.results.compare import cost
from safelab.results.model import Report
from safelab.results.page.palette import DARK, LIGHT, slot
from safelab.results.page.plots import figures
from safelab.results.words import beside_paper
from safelab.runlog.schema import strict_json

TEMPLATES = Path(__file__).parent / "templates"

MAIN = ("reward_mean", "reward_final", "gold_final", "reward_sd_rolling", "kl_mean", "kl_max", "entropy_final")
"""Measures of the first table, besides those that were asked for; the others are in the second."""


def write_page(report: Report, directory: Path) -> Path:
    """``index.html`` in ``directory``."""
    path = directory / "index.html"
    path.write_text(render(report), encoding="utf-8", errors="xmlcharrefreplace")
    return path


def render(report: Report) -> str:
    """The whole page as text."""
    library, script = Markup(get_plotlyjs()), Markup((TEMPLATES / "page.js").read_text(encoding="utf-8"))
    main = [m for m in report.measures if m.key in MAIN or m.key == report.primary]
    charts = figures(report)
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            report=report,
            charts=charts,
            data=data_element({"charts": charts, "samples": report.samples, **_style(report)}),
            main=main,
            longer=[arm for arm in report.arms if arm.whole != arm.name],
            unfinished=any(arm.counted > arm.finished + arm.diverged.k for arm in report.arms),
            more=[m for m in report.measures if m not in main],
            primary=next(m for m in report.measures if m.key == report.primary),
            library=library,
            script=script,
            style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
            policy=content_policy(library, script),
            headlines=[d for d in report.definitions if kind_of(d.kind).headline],
            compared={(row.arm, row.measure): row for row in report.comparisons},
            budgets=sorted({row.kl for row in report.equal_kl}),
            timed=any(found.n for found in report.overheads.values()),
            gold_known=any(row.gold.n for row in report.equal_kl),
            kept={(row.arm, row.kl): row for row in report.equal_kl},
            crash_compared={(row.arm, row.kind): row for row in report.crash_comparisons},
        )
    )


def data_element(data: Mapping[str, Any]) -> Markup:
    """``data`` as JSON that is safe inside a ``<script type="application/json">``: no text in it can close that."""
    raw = strict_json(data)
    return Markup(raw.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def content_policy(*scripts: str) -> str:
    """A policy under which these inline scripts run, and no other; nothing is fetched from anywhere."""
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    rest = "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; script-src {allowed}; {rest}"


def _style(report: Report) -> dict[str, Any]:
    slots = [slot(index) for index in range(len(report.arms))]
    return {
        "palette": {"light": LIGHT, "dark": DARK},
        "arms": [arm.name for arm in report.arms],
        "colours": {"light": [LIGHT[c] for c, _, _ in slots], "dark": [DARK[c] for c, _, _ in slots]},
    }


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"text": text, "slot": slot, "beside_paper": beside_paper, "cost": cost}
    return environment
