"""Numbers as they are printed: everywhere alike."""

import math
import re
from collections.abc import Sequence

from markupsafe import Markup, escape

from safelab.results.estimates import Estimate, Proportion
from safelab.results.model import Comparison, Measure

NOTHING = "–"
MINUS = "−"

LONG = 1e7
"""From here on a number is printed with a power of ten: nobody reads three hundred digits."""
MOST_DIGITS = 6
"""Digits after the point up to which a small number is spelt out in a sentence; beyond, it has a power of ten, too."""


def number(value: float | None, digits: int = 3, signed: bool = False) -> str:
    """``-0.5`` as ``−0.500``; a dash for nothing; infinity as its sign; ``1e308`` as ``1e+308``."""
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    form = ".4g" if abs(value) >= LONG else f",.{digits}f"
    shown = f"{value:+{form}}" if signed else f"{value:{form}}"
    # A number that rounds to zero has no sign.
    if not shown.strip("+-0.,"):
        shown = shown.lstrip("+-")
    return shown.replace("-", MINUS)


def interval(low: float | None, high: float | None, digits: int = 3, signed: bool = False) -> str:
    """``[0.101, 0.202]``, or nothing where there is none."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return ""
    return f"[{number(low, digits, signed)}, {number(high, digits, signed)}]"


def estimate(value: Estimate, measure: Measure, signed: bool = False) -> str:
    """``0.775 [0.765, 0.790]``."""
    shown = number(value.mean, measure.digits, signed)
    return f"{shown} {interval(value.low, value.high, measure.digits, signed)}".strip()


def telling(*values: float | None, digits: int) -> int:
    """Digits, ``digits`` or more, with which none of ``values`` but 0 itself is printed as zero.

    "+0.000 [+0.000, +0.000] leaves out zero" says nothing: where a sentence speaks of a difference, its digits show it.
    """
    least = min((abs(v) for v in values if v is not None and v != 0 and math.isfinite(v)), default=1.0)
    return max(digits, 1 - math.floor(math.log10(least))) if least < 0.5 * 10.0**-digits else digits


def difference(value: Estimate, digits: int) -> str:
    """``+0.200 [+0.150, +0.250]`` with as many digits as it takes to see on which side of zero it lies."""
    apart = value.low is not None and value.high is not None and (value.low > 0 or value.high < 0)
    needed = telling(value.mean, *((value.low, value.high) if apart else ()), digits=digits)
    bounds = f"[{spelt(value.low, needed)}, {spelt(value.high, needed)}]" if interval(value.low, value.high) else ""
    return f"{spelt(value.mean, needed)} {bounds}".strip()


def clear(value: float | None, digits: int, signed: bool = False) -> str:
    """A number with more than ``digits`` where it would be printed as zero and is not."""
    return spelt(value, telling(value, digits=digits), signed)


def spelt(value: float | None, digits: int, signed: bool = True) -> str:
    """A number that has up to ``MOST_DIGITS`` after the point, else a power of ten."""
    if value is None or digits <= MOST_DIGITS or not math.isfinite(value):
        return number(value, digits, signed)
    return f"{value:{'+' if signed else ''}.2g}".replace("-", MINUS) if value else "0"


def crashed(value: Proportion | None) -> str:
    """``2 of 5``."""
    return NOTHING if value is None or value.n == 0 else f"{value.k} of {value.n}"


def rate(value: Proportion | None) -> str:
    """``5 to 85 %``: the exact interval of a crash rate."""
    if value is None or value.low is None or value.high is None:
        return ""
    return f"{value.low * 100:.0f} to {value.high * 100:.0f} %"


def p_value(value: float | None) -> str:
    """``p = 0.25``, ``p < 0.001``."""
    if value is None:
        return NOTHING
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}".rstrip("0").rstrip(".")


def p_alone(value: float | None) -> str:
    """``0.250``, ``<0.001``: a p-value in a column that says so."""
    return "<0.001" if value is not None and value < 0.001 else number(value, 3)


def chance(row: Comparison) -> str:
    """``0.89 [0.40, 0.99]``: a probability of improvement."""
    return f"{number(row.improvement, 2)} {interval(row.improvement_low, row.improvement_high, 2)}".strip()


def titled(label: str, unit: str) -> str:
    """``Mean KL (nats/token)``; the label alone where it says the unit itself."""
    return f"{label} ({unit})" if unit and unit.lower() not in label.lower() else label


def runs(count: int) -> str:
    """``1 run``, ``2 runs``."""
    return f"{count} run{'s' * (count != 1)}"


def short(name: str, length: int = 26) -> str:
    """A name that fits beside a line: the end is what tells long names apart, so the middle goes."""
    if len(name) <= length:
        return name
    end = max(1, (length - 1) // 2)
    return f"{name[: max(1, length - 1 - end)]}…{name[-end:]}"


def listed(names: Sequence[str], most: int = 5) -> str:
    """``a, b and c``; beyond ``most`` names ``a, b and 7 others``."""
    if len(names) < 2:
        return "".join(names)
    kept = list(names) if len(names) <= most else [*names[: most - 1], f"{len(names) - most + 1} others"]
    return f"{', '.join(kept[:-1])} and {kept[-1]}"


def breakable(name: str) -> Markup:
    """A name, escaped, in which lines may break after commas, dots and equal signs: arms are named by overrides."""
    return Markup(re.sub(r"([,.=])", r"\1<wbr>", str(escape(name))))
