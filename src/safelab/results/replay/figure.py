"""The picture of a replay: signals, threshold and phases over controller steps."""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from safelab.results.runs.curves import is_drawable
from safelab.types import Signals

PHASE_COLOURS = {"warmup": "#E69F00", "climbing": "#009E73", "plateau": "#56B4E9", "converged": "#CC79A7"}
"""Okabe and Ito's colours, told apart by the colour-blind."""


def draw(signals: Sequence[Signals], rows: Sequence[Mapping[str, Any]], title: str, path: Path) -> None:
    """Reward; KL, its short average and the threshold; entropy and gate; penalty. Phases as bands behind all."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 8), layout="constrained")
    FigureCanvasAgg(figure)
    reward, kl, entropy, penalty = figure.subplots(4, 1, sharex=True)
    steps = [row["step"] for row in rows]

    def column(name: str) -> list[float]:
        return _drawn([row[name] for row in rows])

    reward.plot(steps, _drawn([heard.reward_mean for heard in signals]), color="black", linewidth=0.9)
    reward.set_ylabel("mean reward")
    kl.plot(steps, _drawn([heard.kl_ref_token_k1 for heard in signals]), color="0.65", linewidth=0.7, label="KL (k1)")
    kl.plot(steps, column("kl_short"), color="black", linewidth=1.2, label="short average")
    kl.plot(steps, column("threshold"), color="#D55E00", linewidth=1.2, label="threshold")
    kl.set_ylabel("nats per token")
    entropy.plot(
        steps,
        _drawn([heard.entropy_token for heard in signals]),
        color="black",
        linewidth=0.9,
        label="entropy (nats per token)",
    )
    entropy.plot(steps, column("gate"), color="#0072B2", linewidth=1.2, label="gate (factor)")
    entropy.set_ylabel("entropy, gate")
    penalty.plot(steps, column("penalty"), color="#D55E00", linewidth=1.0, label="penalty")
    penalty.plot(steps, column("kl_coef"), color="black", linewidth=1.0, label="its slope")
    penalty.set_ylabel("penalty")
    penalty.set_xlabel("controller step")
    for axes in (kl, entropy, penalty):
        axes.legend(loc="upper left", fontsize=8, frameon=False)
    shown: set[str] = set()
    for phase, group in groupby(rows, key=lambda row: str(row["phase"])):
        span = [row["step"] for row in group]
        for axes in (reward, kl, entropy, penalty):
            first = axes is reward and phase not in shown
            colour = PHASE_COLOURS.get(phase)
            if colour is not None:
                label = phase if first else None
                axes.axvspan(span[0] - 0.5, span[-1] + 0.5, color=colour, alpha=0.16, linewidth=0, label=label)
        shown.add(phase)
    if shown & PHASE_COLOURS.keys():
        reward.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False, ncols=4)
    reward.set_title(title, loc="left", fontsize=10)
    for axes in (reward, kl, entropy, penalty):
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0)
    figure.savefig(path, dpi=150)


def _drawn(values: Sequence[float]) -> list[float]:
    """The values, with gaps where a picture cannot hold one."""
    return [value if is_drawable(value) else math.nan for value in values]
