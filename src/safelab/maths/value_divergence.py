"""A critic that goes wrong for good, as a fold over updates."""

import math
from statistics import fmean

from pydantic import Field

from safelab.options import Options, State


class ValueDivergenceOptions(Options):
    """``loss_factor``: of the first full mean of the loss; see ``value_divergence_step``."""

    window: int = Field(ge=1)
    loss_factor: float = Field(gt=1)


class ValueDivergenceState(State):
    """The last losses and explained variances, the first full mean of the loss, and whether a divergence lasts."""

    losses: tuple[float, ...] = ()
    explained: tuple[float, ...] = ()
    start: float | None = None
    lasts: bool = False


def value_divergence_step(
    options: ValueDivergenceOptions, state: ValueDivergenceState, loss: float, explained: float | None
) -> tuple[ValueDivergenceState, bool]:
    """Whether L, the mean value loss over the window, is far above its start while the values explain nothing.

        L > loss_factor start    and    mean explained variance < 0

    ``start`` is the first full L. The second condition spares a critic that follows rewards which have grown: it is
    still better than a constant. A new one can begin when L was at or below ``start`` again. Needs a full window. A
    loss that is not finite begins one, and the windows start anew.

    Args:
        options: the constants.
        state: after the update before.
        loss: the value loss of the update, before its coefficient.
        explained: 1 - var(return - value) / var(return); None where all returns are equal, which leaves its window.
    """
    if not math.isfinite(loss):
        return ValueDivergenceState(start=state.start, lasts=True), not state.lasts
    losses = (*state.losses, loss)[-options.window :]
    known = explained is not None and math.isfinite(explained)
    explained_seen = (*state.explained, explained)[-options.window :] if known else state.explained
    changes = {"losses": losses, "explained": explained_seen}
    if len(losses) < options.window:
        return state.model_copy(update=changes), False
    level = fmean(losses)
    start = level if state.start is None else state.start
    useless = bool(explained_seen) and fmean(explained_seen) < 0  # type: ignore[arg-type]
    begins = not state.lasts and level > options.loss_factor * start and useless
    lasts = begins or (state.lasts and level > start)
    return state.model_copy(update={**changes, "start": start, "lasts": lasts}), begins
