"""The page's interactive figures as Plotly dictionaries. Colours are numbers: the page has them in light and dark.

A trace's ``meta``: ``arm`` (its number, or -1), ``role`` (mean, band, seed, path, end, run, event, phase). Names are
HTML-escaped, because Plotly reads its texts as a kind of HTML.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from safelab.crash.table import KINDS
from safelab.results import text
from safelab.results.model import Line, Panel, Report
from safelab.results.page.palette import slot
from safelab.results.runs.curves import is_drawable
from safelab.results.runs.measures import GOLD, KL, REWARD

Figure = Mapping[str, Any]

ROW_PX, FRAME_PX, LEGEND_PX = 22, 110, 26
"""Height of a row in a timeline, of what is around the rows, and of the legend's distance from the first row."""
ALL_RUNS = 60
"""Runs up to which the timeline of crashes shows those without any, too."""


def figures(report: Report) -> dict[str, list[Figure]]:
    """Figures by section of the page."""
    return {
        "curves": [curve(panel, report) for panel in report.panels],
        "frontier": frontier(report),
        "phases": phase_lines(report),
        "crashes": timeline(report),
    }


def curve(panel: Panel, report: Report) -> Figure:
    """One metric over the updates: range, mean and seeds of each arm."""
    order = {arm.name: index for index, arm in enumerate(report.arms)}
    lines = sorted(panel.lines, key=lambda line: order[line.arm])
    traces = [trace for line in lines for trace in _band(panel, line, order[line.arm])]
    traces += [_seeds(panel, line, order[line.arm]) for line in lines]
    traces += [_mean(panel, line, order[line.arm]) for line in lines]
    return {
        "id": panel.metric.replace("/", "-"),
        "title": panel.label,
        "unit": panel.unit,
        "metric": panel.metric,
        "log": "y" if panel.metric == KL else "",
        "traces": traces,
        "layout": {"xaxis": {"title": {"text": "update"}}, "hovermode": "x unified", "height": 300},
    }


def frontier(report: Report) -> list[Figure]:
    """Reward, and gold score, against KL: the way of each arm's mean, and where each seed ended."""
    by_metric = {panel.metric: panel for panel in report.panels}
    if KL not in by_metric:
        return []
    wanted = ((REWARD, "reward_final", "Reward"), (GOLD, "gold_final", "Gold score"))
    return [_against_kl(report, by_metric[m], by_metric[KL], key, title) for m, key, title in wanted if m in by_metric]


def timeline(report: Report) -> list[Figure]:
    """Every run as a line, with a mark where a crash of a kind began; nothing where no run had one."""
    runs = [run for run in report.runs if run.updates_done and not run.duplicate]
    kinds = [kind for kind in KINDS if any(run.crashes.get(kind.key) for run in runs)]
    if not kinds:
        return []
    found = len(runs)
    if found > ALL_RUNS:
        runs = [run for run in runs if any(run.crashes.values())]
    order = {arm.name: index for index, arm in enumerate(report.arms)}
    runs = sorted(runs, key=lambda run: (-order[run.arm], -run.seed))
    names = {run.key: escape(f"{text.short(run.arm)} {run.seed}") for run in runs}
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [0, run.updates_done - 1],
            "y": [names[run.key]] * 2,
            "hoverinfo": "skip",
            "showlegend": False,
            "meta": {"arm": order[run.arm], "role": "run"},
        }
        for run in runs
    ]
    for kind in kinds:
        marks = [(update, names[run.key]) for run in runs for update in run.crashes.get(kind.key, [])]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": kind.label,
                "x": [update for update, _ in marks],
                "y": [name for _, name in marks],
                "marker": {"symbol": kind.symbol, "size": 10},
                "hovertemplate": f"{kind.label} at update %{{x}}<extra>%{{y}}</extra>",
                "meta": {"arm": -1, "role": "event"},
            }
        )
    left_out = f"the {len(runs)} of {found} runs that had one" if len(runs) < found else ""
    return [_rows_figure("timeline", "Where crashes began", left_out, traces, [names[run.key] for run in runs])]


def phase_lines(report: Report) -> list[Figure]:
    """A bar for each arm, coloured by the phase of its controllers; nothing where there are none."""
    if not report.phases:
        return []
    names = {line.arm: escape(text.short(line.arm)) for line in report.phases}
    kinds = list(dict.fromkeys(phase for line in report.phases for phase in line.phase))
    traces = []
    for number, kind in enumerate(kinds):
        spans = [
            (names[line.arm], first, last)
            for line in report.phases
            for first, last, phase in zip(line.first, line.last, line.phase, strict=True)
            if phase == kind
        ]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": escape(kind),
                "x": [x for _, first, last in spans for x in (first, last + 1, None)],
                "y": [y for name, _, _ in spans for y in (name, name, None)],
                "line": {"width": 11},
                "hovertemplate": f"{escape(kind)}, update %{{x}}<extra>%{{y}}</extra>",
                "meta": {"arm": -1, "role": "phase", "colour": number},
            }
        )
    return [_rows_figure("phases", "Phase of the controllers", "of most seeds", traces, [*names.values()][::-1])]


def _rows_figure(name: str, title: str, unit: str, traces: Sequence[Mapping[str, Any]], rows: Sequence[str]) -> Figure:
    """Rows over the updates, the last one of ``rows`` on top."""
    height = FRAME_PX + ROW_PX * len(rows)
    layout = {
        "xaxis": {"title": {"text": "update"}},
        "yaxis": {
            "type": "category",
            "categoryorder": "array",
            "categoryarray": rows,
            "range": [-0.8, len(rows) - 0.2],
        },
        "showlegend": True,
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1 + LEGEND_PX / 4 / (ROW_PX * len(rows)),
            "yanchor": "bottom",
        },
        "hovermode": "closest",
        "height": height,
    }
    return {"id": name, "title": title, "unit": unit, "metric": "", "log": "", "traces": traces, "layout": layout}


def _mean(panel: Panel, line: Line, arm: int) -> dict[str, Any]:
    _, dash, _ = slot(arm)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": escape(line.arm),
        "x": panel.steps,
        "y": line.mean,
        "customdata": [[low, high] for low, high in zip(line.low, line.high, strict=True)],
        "hovertemplate": "%{y:.4~g}  (%{customdata[0]:.4~g} to %{customdata[1]:.4~g})",
        "line": {"width": 2, "dash": dash},
        "meta": {"arm": arm, "role": "mean"},
    }


def _band(panel: Panel, line: Line, arm: int) -> list[dict[str, Any]]:
    """From the least to the greatest seed, as one closed outline; nothing for a single seed."""
    known = [(x, low, high) for x, low, high in zip(panel.steps, line.low, line.high, strict=True) if low is not None]
    if len(line.seeds) < 2 or not known:
        return []
    steps, lows, highs = (list(column) for column in zip(*known, strict=True))
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "x": steps + steps[::-1],
            "y": highs + lows[::-1],
            "fill": "toself",
            "line": {"width": 0},
            "hoverinfo": "skip",
            "meta": {"arm": arm, "role": "band"},
        }
    ]


def _seeds(panel: Panel, line: Line, arm: int) -> dict[str, Any]:
    """All seeds of an arm as one trace with gaps: few traces draw fast."""
    x: list[int | None] = []
    y: list[float | None] = []
    for values in line.seeds.values():
        x += [*panel.steps, None]
        y += [*values, None]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": x,
        "y": y,
        "line": {"width": 0.8},
        "hoverinfo": "skip",
        "meta": {"arm": arm, "role": "seed"},
    }


def _against_kl(report: Report, panel: Panel, kl: Panel, key: str, title: str) -> Figure:
    traces = [trace for arm in range(len(report.arms)) for trace in _way(report, panel, kl, key, arm)]
    return {
        "id": f"{panel.metric.replace('/', '-')}-against-kl",
        "title": f"{title} against KL",
        "unit": "",
        "metric": panel.metric,
        "log": "x",
        "traces": traces,
        "layout": {
            "xaxis": {"title": {"text": "KL to the reference, nats per token"}},
            "yaxis": {"title": {"text": title.lower()}},
            "hovermode": "closest",
            "height": 380,
        },
    }


def _way(report: Report, panel: Panel, kl: Panel, key: str, arm: int) -> list[dict[str, Any]]:
    """An arm's smoothed mean path, and its runs' final values."""
    name = report.arms[arm].name
    ys = smooth(next((line.mean for line in panel.lines if line.arm == name), []), report.window)
    xs = smooth(next((line.mean for line in kl.lines if line.arm == name), []), report.window)
    at = dict(zip(kl.steps, xs, strict=False))
    known = [(at.get(step), y, step) for step, y in zip(panel.steps, ys, strict=False)]
    path = [(x, y, step) for x, y, step in known if x is not None and y is not None]
    ends = [
        (run.measures["kl_final"], run.measures[key], run.seed)
        for run in report.runs
        if run.arm == name and run.counted and all(map(is_drawable, (run.measures["kl_final"], run.measures[key])))
    ]
    _, dash, marker = slot(arm)
    shared = {"type": "scatter", "name": escape(name)}
    return [
        {
            **shared,
            "mode": "lines",
            "x": [x for x, _, _ in path],
            "y": [y for _, y, _ in path],
            "text": [f"update {update}" for _, _, update in path],
            "line": {"width": 1.5, "dash": dash},
            "hovertemplate": "%{text}: %{y:.3~g} at %{x:.3~g} nats",
            "meta": {"arm": arm, "role": "path"},
        },
        {
            **shared,
            "mode": "markers",
            "x": [x for x, _, _ in ends],
            "y": [y for _, y, _ in ends],
            "text": [f"seed {seed}" for _, _, seed in ends],
            "marker": {"symbol": marker, "size": 9},
            "hovertemplate": "%{text}, final: %{y:.3~g} at %{x:.3~g} nats",
            "meta": {"arm": arm, "role": "end"},
        },
    ]


def smooth(values: Sequence[float | None], window: int) -> list[float | None]:
    """Trailing mean of up to ``window`` known values: at the start of as many as there are."""
    kept = [[v for v in values[max(0, end - window) : end] if v is not None] for end in range(1, len(values) + 1)]
    return [float(f"{sum(part) / len(part):.5g}") if part else None for part in kept]
