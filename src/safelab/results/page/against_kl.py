"""Reward and gold score against the KL to the reference: each arm's path, and where its seeds ended."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from safelab.results import text
from safelab.results.model import Panel, Report
from safelab.results.page.drawing import LINES, MARKERS, floats, grid
from safelab.results.page.palette import LIGHT, slot
from safelab.results.page.plots import smooth
from safelab.results.runs.curves import is_drawable
from safelab.results.runs.measures import GOLD, KL, LENGTH, REWARD


def frontier(report: Report) -> Figure | None:
    """Reward and gold score against KL: each arm's path, and where its seeds ended."""
    by_metric = {panel.metric: panel for panel in report.panels}
    if KL not in by_metric:
        return None
    return _against(report, by_metric[KL], lambda run: run["kl_final"], "KL to the reference (nats per token)")


def overoptimisation(report: Report) -> Figure | None:
    """The same against the square root of the KL of a response, along which a gold score falls like a parabola.

    Ref: Gao et al. 2022, arXiv 2210.10760, section 3 (in RL, gold = d (alpha - beta log d) with d = sqrt(KL)).
    """
    by_metric = {panel.metric: panel for panel in report.panels}
    if not {KL, GOLD, LENGTH} <= by_metric.keys():
        return None
    distance = distances(by_metric[KL], by_metric[LENGTH])
    return _against(report, distance, _last_distance, "square root of the KL of a response (nats)")


def distances(kl: Panel, length: Panel) -> Panel:
    """``sqrt(KL per token * tokens per response)`` of every seed at every step, and its mean over the seeds.

    The KL of a token, averaged over all tokens, times the mean length is the KL of a response.
    """
    lines = []
    for line in kl.lines:
        other = next((other for other in length.lines if other.arm == line.arm), None)
        if other is None:
            continue
        seeds = {
            seed: [_root(k, t) for k, t in zip(values, other.seeds[seed], strict=True)]
            for seed, values in line.seeds.items()
            if seed in other.seeds
        }
        known = [[value for value in step if value is not None] for step in zip(*seeds.values(), strict=True)]
        mean = [fmean(values) if values else None for values in known]
        lines.append(replace(line, mean=mean, seeds=seeds))
    return replace(kl, metric="", lines=lines)


def _root(kl: float | None, tokens: float | None) -> float | None:
    return None if kl is None or tokens is None else math.sqrt(max(0.0, kl * tokens))


def _last_distance(run: Mapping[str, float | None]) -> float | None:
    return _root(run["kl_final"], run["length_final"])


def _against(
    report: Report, x: Panel, last: Callable[[Mapping[str, float | None]], float | None], label: str
) -> Figure | None:
    """Reward, and gold score where there is one, over ``x``; ``last``: where on it a run ended."""
    by_metric = {panel.metric: panel for panel in report.panels}
    shown = [(name, key) for name, key in ((REWARD, "reward_final"), (GOLD, "gold_final")) if name in by_metric]
    if not shown:
        return None
    figure, axes = grid(len(shown), columns=len(shown), width=8.4, height=3.2)
    for place, (name, key) in zip(axes, shown, strict=True):
        _paths(place, by_metric[name], x, report)
        _ends(place, last, key, report)
        place.set_title(f"{by_metric[name].label} against KL")
        place.set_xlabel(label)
    # One key for both panels: paths end too near to one another to be labelled there.
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(5, len(names)), frameon=False)
    return figure


def _paths(place: Axes, panel: Panel, x: Panel, report: Report) -> None:
    for index, arm in enumerate(report.arms[: report.focus]):
        colour, dash, _ = slot(index)
        ys = next((line.mean for line in panel.lines if line.arm == arm.name), [])
        xs = next((line.mean for line in x.lines if line.arm == arm.name), [])
        if len(xs) == len(ys):
            path = (floats(smooth(xs, report.window)), floats(smooth(ys, report.window)))
            place.plot(*path, color=LIGHT[colour], linestyle=LINES[dash], linewidth=1, alpha=0.7)


def _ends(place: Axes, last: Callable[[Mapping[str, float | None]], float | None], key: str, report: Report) -> None:
    for index, arm in enumerate(report.arms[: report.focus]):
        colour, _, marker = slot(index)
        runs = [run.measures for run in report.runs if run.arm == arm.name and run.counted]
        ends = [(x, y) for m in runs if is_drawable(x := last(m)) and is_drawable(y := m[key])]
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
