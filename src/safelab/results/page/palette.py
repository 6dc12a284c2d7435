"""Colours that stay apart for colour-blind readers, and the dashes and markers that tell arms apart without colour.

Ref: Okabe and Ito, Color universal design, 2008. Its yellow is left out: it cannot be seen on white.
"""

LIGHT = ("#1a1a1a", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""On white. The first, ink, is the baseline's."""

DARK = ("#f0f0f0", "#56B4E9", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#7f9fd8")
"""On near-black: sky blue takes the place of blue, which is too dark there."""

DASHES = ("solid", "dash", "dot", "dashdot")
"""One for each round through the colours."""

MARKERS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "star")


def slot(index: int) -> tuple[int, str, str]:
    """Colour number, dash and marker (Plotly's names) of the arm number ``index``; 0 is the baseline."""
    turn = index // len(LIGHT)
    # One marker on with each round, so that no two arms of a round and the next share colour and marker.
    return index % len(LIGHT), DASHES[turn % len(DASHES)], MARKERS[(index + turn) % len(MARKERS)]
