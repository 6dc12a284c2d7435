import math

import pytest

from safelab.errors import RunFailed
from safelab.guard import stop


def guard(*metrics: str) -> stop.StopGuard:
    return stop.build(stop.Options(name="stop", metrics=list(metrics)), None)


def test_finite_rows_pass() -> None:
    assert guard("policy/loss", "reward/mean").verdict({"update": 0, "policy/loss": -3.0, "reward/mean": 0.0}) is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stops_with_name_value_and_update(value: float) -> None:
    row = {"update": 7, "policy/loss": 0.5, "reward/mean": value}
    assert guard("policy/loss", "reward/mean").verdict(row) == f"reward/mean was {value} at update 7"


def test_only_what_is_named_is_watched() -> None:
    assert guard("policy/loss").verdict({"update": 7, "policy/loss": 0.5, "reward/mean": math.nan}) is None


def test_a_value_that_was_not_measured_is_no_objection() -> None:
    assert guard("policy/loss").verdict({"update": 0, "policy/loss": None}) is None


def test_a_name_that_the_run_does_not_have_is_told() -> None:
    with pytest.raises(RunFailed, match=r"got 'policy/los': did you mean 'policy/loss'\?"):
        guard("policy/los").verdict({"update": 0, "policy/loss": 0.5})
