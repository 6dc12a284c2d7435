"""A published number in words: one way of writing it, wherever it stands."""

import pytest

from safelab.results.words.beside_paper import published_number


@pytest.mark.parametrize(
    ("value", "unit", "sd", "n", "signed", "said"),
    [
        (64.7, "%", 1.2, 4.0, False, "64.7 % (SD 1.2, 4 runs)"),
        (5.15, "%", None, None, True, "+5.15 %"),
        (-2.0, "%", None, 1.0, True, "−2 % (1 run)"),
        (-2.5, "reward", None, None, False, "−2.5 reward"),
        (0.3, "share of runs", None, 10, False, "30 % of runs (10 runs)"),
        (0.25, "share", None, None, False, "0.25"),
        (3.5, "", None, None, False, "3.5"),
    ],
)
def test_a_published_number(
    value: float, unit: str, sd: float | None, n: float | None, signed: bool, said: str
) -> None:
    assert published_number(value, unit, sd, n, signed) == said
