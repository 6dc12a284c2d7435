"""How sure a share of a count is."""

import math
from statistics import NormalDist

Z_95 = NormalDist().inv_cdf(0.975)


def wilson(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of ``share`` of ``count``, within [0, 1] whatever the share.

    ``(p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)``. Where ties count half it is on the safe
    side: the scores 0, 1/2 and 1 vary less than ``p (1 - p)``.

    Ref: Wilson, Probable inference, the law of succession, and statistical inference, 1927.
    """
    shrink = Z_95 * Z_95 / count
    middle, half = share + shrink / 2, Z_95 * math.sqrt(share * (1 - share) / count + shrink / (4 * count))
    low, high = ((middle + sign * half) / (1 + shrink) for sign in (-1, 1))
    return max(0.0, low), min(1.0, high)
