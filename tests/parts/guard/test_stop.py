import math

import pytest
from pydantic import ValidationError

from safelab.errors import RunFailed
from safelab.parts.guard.stop import Stop

KL = {"kl/ref_token_exact": 0.5}


def guard(*metrics: str, crashes: tuple[str, ...] = (), kl_ceiling: float | None = None) -> Stop:
    return Stop(name="stop", metrics=list(metrics), crashes=list(crashes), kl_ceiling=kl_ceiling)


def test_finite_rows_pass() -> None:
    assert (
        guard("policy/loss", "reward/mean").verdict({"update": 0, "policy/loss": -3.0, "reward/mean": 0.0, **KL})
        is None
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stops_with_name_value_and_update(value: float) -> None:
    row = {"update": 7, "policy/loss": 0.5, "reward/mean": value}
    assert guard("policy/loss", "reward/mean").verdict(row) == f"reward/mean was {value} at update 7"


def test_only_what_is_named_is_watched() -> None:
    assert guard("policy/loss").verdict({"update": 7, "policy/loss": 0.5, "reward/mean": math.nan, **KL}) is None


def test_a_value_that_was_not_measured_is_no_objection() -> None:
    assert guard("policy/loss").verdict({"update": 0, "policy/loss": None, **KL}) is None


def test_a_run_without_a_critic_has_none_of_its_metrics_to_watch() -> None:
    assert guard("policy/loss", "critic/loss").verdict({"update": 0, "policy/loss": 0.5, **KL}) is None


def test_a_run_that_learns_from_pairs_makes_no_passes_to_watch() -> None:
    row = {"update": 0, "preference/loss": 0.5, **KL}
    assert guard("policy/loss", "kl/old_token_k3").verdict(row) is None
    with pytest.raises(RunFailed, match="got 'policy/lr'"):
        guard("policy/lr").verdict(row)


def test_a_run_by_votes_makes_no_passes_to_watch() -> None:
    """The presets of both guards name the loss; it has none."""
    row = {"update": 0, "oracle/votes": 8, **KL}
    assert guard("policy/loss", "kl/old_token_k3").verdict(row) is None
    with pytest.raises(RunFailed, match="got 'policy/lr'"):
        guard("policy/lr").verdict(row)


def test_a_name_that_the_run_does_not_have_is_told() -> None:
    with pytest.raises(RunFailed, match=r"got 'policy/los': did you mean 'policy/loss'\?"):
        guard("policy/los").verdict({"update": 0, "policy/loss": 0.5})


def test_a_crash_that_is_asked_for_stops_where_it_begins() -> None:
    row = {"update": 9, "policy/loss": 0.5, "crash/reward": 1, "crash/hacking": 0, **KL}
    assert guard("policy/loss", crashes=("hacking", "reward")).verdict(row) == "crash/reward began at update 9"
    assert guard("policy/loss", crashes=("hacking",)).verdict(row) is None


def test_the_ceiling_of_the_kl() -> None:
    row = {"update": 9, "policy/loss": 0.5, "kl/ref_token_exact": 1.25}
    said = guard("policy/loss", kl_ceiling=1.0).verdict(row)
    assert said == "kl/ref_token_exact was 1.25, above 1, at update 9"
    assert guard("policy/loss", kl_ceiling=1.25).verdict(row) is None


def test_a_crash_that_is_none_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValidationError, match="must name a kind of crash, got 'hackin': did you mean 'hacking'"):
        guard("policy/loss", crashes=("hackin",))
