"""The figures for a paper: PNG, SVG and PDF, each line labelled where it ends instead of in a legend."""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from safelab.results import text
from safelab.results.model import Measure, Panel, Report
from safelab.results.page.against_kl import frontier, overoptimisation
from safelab.results.page.drawing import DPI, LINES, LOOK, MARKERS, floats, grid
from safelab.results.page.palette import LIGHT, slot
from safelab.results.runs.curves import is_drawable
from safelab.results.runs.measures import ENTROPY, GOLD, KL, REWARD

FORMATS = ("png", "svg", "pdf")
CURVES = (REWARD, GOLD, KL, ENTROPY)
SEED_PANELS = 3
"""Measures in the figure of single seeds."""


def write_figures(report: Report, directory: Path) -> list[Path]:
    """Every figure in every format; one that has nothing to show is left out."""
    directory.mkdir(exist_ok=True)
    made: list[tuple[str, Callable[[Report], Figure | None]]] = [
        ("curves", curves),
        ("frontier", frontier),
        ("overoptimisation", overoptimisation),
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
    figure, axes = grid(len(panels), columns=min(2, len(panels)), width=8.4, height=2.6)
    for place, panel in zip(axes, panels, strict=True):
        _curve(place, panel, report)
    return figure


def seeds(report: Report) -> Figure | None:
    """Every seed of every arm, with mean and interval."""
    shown = [m for m in report.measures if any(arm.estimates[m.key].n for arm in report.arms)][:SEED_PANELS]
    if not shown:
        return None
    height = 0.7 + 0.28 * len(report.arms)
    figure, axes = grid(len(shown), columns=len(shown), width=8.4, height=height, share_y=True)
    for place, measure in zip(axes, shown, strict=True):
        _dots(place, measure, report)
    axes[0].set_yticks(range(len(report.arms)), [text.short(arm.name, 36) for arm in report.arms])
    axes[0].invert_yaxis()
    return figure


def _curve(place: Axes, panel: Panel, report: Report) -> None:
    ends = []
    for index, arm in enumerate(report.arms[: report.focus]):
        line = next((line for line in panel.lines if line.arm == arm.name), None)
        if line is None:
            continue
        colour, dash, _ = slot(index)
        for values in line.seeds.values():
            place.plot(panel.steps, floats(values), color=LIGHT[colour], linewidth=0.4, alpha=0.35)
        place.fill_between(
            panel.steps, floats(line.low), floats(line.high), color=LIGHT[colour], alpha=0.12, linewidth=0
        )
        place.plot(panel.steps, floats(line.mean), color=LIGHT[colour], linestyle=LINES[dash], linewidth=1.4)
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
