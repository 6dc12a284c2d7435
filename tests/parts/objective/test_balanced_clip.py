import pytest

from safelab.errors import ConfigError
from support.objectives import MASK, golden_loss, objective, told


def test_where_gains_weigh_enough_the_bounds_stay_and_the_loss_is_ppos() -> None:
    answer = told(objective("balanced_clip"))
    assert answer.metrics_tok["balance"][0, 0].item() == pytest.approx(0.824390, abs=1e-6)
    assert (answer.metrics_tok["bound_low"][0, 0].item(), answer.metrics_tok["bound_high"][0, 0].item()) == (
        pytest.approx(0.6),
        pytest.approx(1.2),
    )
    # min(r A, clip(r) A): 1.2, 1.2, 0.944444 and max(0.75, 0.6), max(0.2, 0.6)
    assert golden_loss(objective("balanced_clip")) == pytest.approx(-(1.2 + 1.2 + 0.944444 - 0.75 - 0.6) / 5, abs=1e-6)


def test_the_authors_code_has_another_measure() -> None:
    balance = told(objective("balanced_clip_released")).metrics_tok["balance"][MASK]
    assert balance[0].item() == pytest.approx(2.477366, abs=1e-5)


def test_an_unreachable_target_widens_to_the_limits() -> None:
    answer = told(objective("balanced_clip", target=0.999))
    assert answer.metrics_tok["bound_low"][0, 0].item() == pytest.approx(0.9)
    assert answer.metrics_tok["bound_high"][0, 0].item() == pytest.approx(3.0)


def test_limits_before_the_start_are_refused() -> None:
    with pytest.raises(ConfigError, match="low_limit >= low_start"):
        objective("balanced_clip", low_limit=0.5)


def test_the_authors_search_can_end_worse_than_it_began() -> None:
    """Raising it never raises their measure: 0.6, 0.7, 0.8 give 2.477366, 2.306513, 2.090278."""
    answer = told(objective("balanced_clip_released", target=3.0))
    # With low 0.8 the losses weigh 1.6 and the gains at most 1.2 + 1.5 + 0.944444: 2.28, less than at the start.
    assert answer.metrics_tok["bound_low"][0, 0].item() == pytest.approx(0.8)
    assert answer.metrics_tok["bound_high"][0, 0].item() == pytest.approx(2.0)
    assert answer.metrics_tok["balance"][0, 0].item() == pytest.approx(3.644444 / 1.6, abs=1e-6)
