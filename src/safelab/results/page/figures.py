"""The figures for a paper: PNG, SVG and PDF, each line labelled where it ends instead of in a legend."""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from safelab.results import text
from safelab.results.model import Measure, Panel, Report
from safelab.results.page.palette import LIGHT, slot
from safelab.results.page.plots import smooth
from safelab.results.runs.curves import is_drawable
from safelab.results.runs.measures import ENTROPY, GOLD, KL, REWARD

FORMATS = ("png", "svg", "pdf")
CURVES = (REWARD, GOLD, KL, ENTROPY)
DPI = 160
SEED_PANELS = 3
"""Measures in the figure of single seeds."""

LINES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
MARKERS = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "triangle-up": "^",
    "triangle-down": "v",
    "cross": "P",
    "star": "*",
}
LOOK: Any = {
    "font.size": 8,
    "font.family": "sans-serif",
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.grid": True,
    "grid.linewidth": 0.4,
    "grid.color": "#e3e3df",
    "text.parse_math": False,  # a $ in an arm's name is a $
    "svg.fonttype": "none",
    "svg.hashsalt": "safelab",
    "pdf.fonttype": 42,
}


def write_figures(report: Report, directory: Path) -> list[Path]:
    """``curves``, ``frontier`` and ``seeds`` in every format; one that has nothing to show is left out."""
    directory.mkdir(exist_ok=True)
    made: list[tuple[str, Callable[[Report], Figure | None]]] = [
        ("curves", curves),
        ("frontier", frontier),
        ("seeds", seeds),
    ]
    written = []
    with mpl.rc_context(LOOK):
        for name, make in made:
            if (figure := make(report)) is None:
                continue
            # The layout is found once, not once for each format.
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
            for suffix in FORMATS:
                # No date inside: the same runs give the same file.
                stamp = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(suffix)
                figure.savefig(directory / f"{name}.{suffix}", dpi=DPI, metadata=stamp)
                written.append(directory / f"{name}.{suffix}")
    return written


def curves(report: Report) -> Figure | None:
    """Reward, gold score, KL and entropy over the updates."""
    panels = [panel for name in CURVES for panel in report.panels if panel.metric == name]
    if not panels:
        return None
    figure, axes = _grid(len(panels), columns=min(2, len(panels)), width=8.4, height=2.6)
    for place, panel in zip(axes, panels, strict=True):
        _curve(place, panel, report)
    return figure


def frontier(report: Report) -> Figure | None:
    """Reward and gold score against KL: each arm's path, and where its seeds ended."""
    by_metric = {panel.metric: panel for panel in report.panels}
    shown = [(name, key) for name, key in ((REWARD, "reward_final"), (GOLD, "gold_final")) if name in by_metric]
    if KL not in by_metric or not shown:
        return None
    figure, axes = _grid(len(shown), columns=len(shown), width=8.4, height=3.2)
    for place, (name, key) in zip(axes, shown, strict=True):
        _against_kl(place, by_metric[name], by_metric[KL], key, report)
    # One key for both panels: paths end too near to one another to be labelled there.
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(5, len(names)), frameon=False)
    return figure


def seeds(report: Report) -> Figure | None:
    """Every seed of every arm, with mean and interval."""
    shown = [m for m in report.measures if any(arm.estimates[m.key].n for arm in report.arms)][:SEED_PANELS]
    if not shown:
        return None
    height = 0.7 + 0.28 * len(report.arms)
    figure, axes = _grid(len(shown), columns=len(shown), width=8.4, height=height, share_y=True)
    for place, measure in zip(axes, shown, strict=True):
        _dots(place, measure, report)
    axes[0].set_yticks(range(len(report.arms)), [text.short(arm.name, 36) for arm in report.arms])
    axes[0].invert_yaxis()
    return figure


def _grid(count: int, columns: int, width: float, height: float, share_y: bool = False) -> tuple[Figure, list[Axes]]:
    rows = -(-count // columns)
    figure = Figure(figsize=(width, height * rows), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    places = figure.subplots(rows, columns, squeeze=False, sharey=share_y)
    every = [place for row in places for place in row]
    for spare in every[count:]:
        spare.remove()
    return figure, every[:count]


def _curve(place: Axes, panel: Panel, report: Report) -> None:
    ends = []
    for index, arm in enumerate(report.arms[: report.focus]):
        line = next((line for line in panel.lines if line.arm == arm.name), None)
        if line is None:
            continue
        colour, dash, _ = slot(index)
        for values in line.seeds.values():
            place.plot(panel.steps, _floats(values), color=LIGHT[colour], linewidth=0.4, alpha=0.35)
        place.fill_between(
            panel.steps, _floats(line.low), _floats(line.high), color=LIGHT[colour], alpha=0.12, linewidth=0
        )
        place.plot(panel.steps, _floats(line.mean), color=LIGHT[colour], linestyle=LINES[dash], linewidth=1.4)
        if known := [(step, value) for step, value in zip(panel.steps, line.mean, strict=True) if value is not None]:
            ends.append((*known[-1], arm.name, LIGHT[colour]))
    place.set_title(text.titled(panel.label, panel.unit))
    place.set_xlabel("update")
    place.margins(x=0)
    _label_ends(place, ends)


def _label_ends(place: Axes, ends: Sequence[tuple[int, float, str, str]]) -> None:
    """Each name to the right of its line, moved up or down until none covers another, with a thread to its line."""
    low, high = place.get_ylim()
    gap = min(0.085, 1 / len(ends)) * (high - low) if ends else 0.0
    heights = spread([value for _, value, _, _ in ends], gap, low, high)
    for (step, value, name, colour), height in zip(ends, heights, strict=True):
        place.annotate(
            text.short(name),
            xy=(step, value),
            xytext=(1.05, (height - low) / (high - low)),
            textcoords="axes fraction",
            va="center",
            fontsize=7.5,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 1.0,
                "shrinkA": 1,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )


def spread(values: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Heights as near to ``values`` as can be, ``gap`` apart, in the same order, from ``low`` to ``high`` if they fit.

    Least squares: with ``i gap`` taken off the i-th, heights may only rise; neighbours out of order share their mean.
    """
    order = sorted(range(len(values)), key=lambda index: values[index])
    pools: list[list[float]] = []
    for rank, index in enumerate(order):
        pools.append([values[index] - rank * gap])
        while len(pools) > 1 and fmean(pools[-2]) >= fmean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    level = [fmean(pool) for pool in pools for _ in pool]
    top = max(low, high - gap * (len(values) - 1))
    heights = [0.0] * len(values)
    for rank, index in enumerate(order):
        heights[index] = min(max(level[rank], low), top) + rank * gap
    return heights


def _against_kl(place: Axes, panel: Panel, kl: Panel, key: str, report: Report) -> None:
    for index, arm in enumerate(report.arms[: report.focus]):
        colour, dash, marker = slot(index)
        ys = next((line.mean for line in panel.lines if line.arm == arm.name), [])
        xs = next((line.mean for line in kl.lines if line.arm == arm.name), [])
        if len(xs) == len(ys):
            path = (_floats(smooth(xs, report.window)), _floats(smooth(ys, report.window)))
            place.plot(*path, color=LIGHT[colour], linestyle=LINES[dash], linewidth=1, alpha=0.7)
        runs = [run.measures for run in report.runs if run.arm == arm.name and run.counted]
        ends = [(x, y) for m in runs if is_drawable(x := m["kl_final"]) and is_drawable(y := m[key])]
        place.scatter(
            [x for x, _ in ends],
            [y for _, y in ends],
            color=LIGHT[colour],
            marker=MARKERS[marker],
            s=24,
            zorder=3,
            edgecolors="white",
            linewidths=0.5,
            label=text.short(arm.name),
        )
    place.set_title(f"{panel.label} against KL")
    place.set_xlabel("KL to the reference (nats per token)")


def _dots(place: Axes, measure: Measure, report: Report) -> None:
    for index, arm in enumerate(report.arms):
        colour, _, marker = slot(index)
        found = arm.estimates[measure.key]
        runs = [run.measures[measure.key] for run in report.runs if run.arm == arm.name and run.counted]
        dots = [value for value in runs if is_drawable(value)]
        place.scatter(
            dots, [index] * len(dots), color=LIGHT[colour], marker=MARKERS[marker], s=14, alpha=0.6, linewidths=0
        )
        if is_drawable(found.low) and is_drawable(found.high):
            place.plot([found.low, found.high], [index, index], color=LIGHT[colour], linewidth=1.2)
        if is_drawable(found.mean):
            place.plot([found.mean], [index], marker="|", color=LIGHT[colour], markersize=11, markeredgewidth=1.6)
    place.set_title(text.titled(measure.label, measure.unit))
    place.grid(axis="y", visible=False)
    place.set_ylim(-0.6, len(report.arms) - 0.4)


def _floats(values: Sequence[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]
