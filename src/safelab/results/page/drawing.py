"""What every figure for a paper has: its look, its lines and markers, its panels."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI = 160

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


def grid(count: int, columns: int, width: float, height: float, share_y: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure of ``count`` panels, and these; ``height``: of a row, in inches."""
    rows = -(-count // columns)
    figure = Figure(figsize=(width, height * rows), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    places = figure.subplots(rows, columns, squeeze=False, sharey=share_y)
    every = [place for row in places for place in row]
    for spare in every[count:]:
        spare.remove()
    return figure, every[:count]


def floats(values: Sequence[float | None]) -> list[float]:
    """With a gap where a value is missing."""
    return [float("nan") if value is None else value for value in values]
