"""The page's curves as Plotly figures, for notebooks: one metric of the runs, an arm in each colour."""

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.colors import hex_to_rgb

from safelab.results import text
from safelab.results.model import Line, Panel
from safelab.results.page.palette import LIGHT, slot
from safelab.results.runs.curves import panel
from safelab.results.runs.load import RunSet
from safelab.results.runs.measures import KL


def figure(loaded: RunSet, metric: str, arms: Sequence[str] | None = None) -> go.Figure:
    """A metric over the updates: each arm's mean, the range of its seeds, and every seed as a thin line.

    Args:
        loaded: the runs.
        metric: as logged, ``reward/mean``.
        arms: in the order of their colours; None: by name. The KL has a logarithmic axis, as on the page.

    Raises:
        DataError: no run has the metric.
    """
    found = panel(loaded, metric)
    order = list(loaded.arms if arms is None else arms)
    made = go.Figure(
        layout={
            "template": "plotly_white",
            "title": text.titled(found.label, found.unit),
            "xaxis": {"title": "update"},
            "yaxis": {"type": "log" if metric == KL else "linear"},
            "hovermode": "x unified",
            "showlegend": len(found.lines) > 1,
        }
    )
    for line in sorted(found.lines, key=lambda line: order.index(line.arm)):
        made.add_traces(_traces(found, line, order.index(line.arm)))
    return made


def _traces(found: Panel, line: Line, arm: int) -> list[go.Scatter]:
    colour, dash, _ = slot(arm)
    steps, shade = list(found.steps), f"rgba{(*hex_to_rgb(LIGHT[colour]), 0.15)}"
    several = len(line.seeds) > 1
    thin = {"x": steps, "mode": "lines", "hoverinfo": "skip", "showlegend": False, "legendgroup": line.arm}
    band = [
        go.Scatter(y=list(line.low), line={"width": 0}, **thin),
        go.Scatter(y=list(line.high), line={"width": 0}, fill="tonexty", fillcolor=shade, **thin),
    ]
    seeds = [
        go.Scatter(y=list(values), line={"width": 0.8, "color": LIGHT[colour]}, opacity=0.5, **thin)
        for values in line.seeds.values()
    ]
    mean = go.Scatter(
        x=steps,
        y=list(line.mean),
        mode="lines",
        name=line.arm,
        legendgroup=line.arm,
        line={"width": 2, "color": LIGHT[colour], "dash": dash},
    )
    return [*(band if several else []), *(seeds if several else []), mean]
