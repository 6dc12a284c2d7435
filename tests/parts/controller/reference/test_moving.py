import pytest

from safelab.errors import ConfigError
from support.controllers import part


def test_it_moves_at_its_times() -> None:
    moving = part("reference", "moving", decay=0.75, every=3)
    assert moving.moves
    assert [moving.share(updates) for updates in range(1, 8)] == [0, 0, 0.25, 0, 0, 0.25, 0]


def test_without_decay_it_is_reset() -> None:
    assert part("reference", "moving", decay=0.0, every=1).share(5) == 1.0


@pytest.mark.parametrize(("decay", "every", "lag"), [(0.9, 10, 90), (0.95, 10, 190)])
def test_its_lag_behind_a_steady_policy(decay: float, every: int, lag: float) -> None:
    moving, reference = part("reference", "moving", decay=decay, every=every), 0.0
    for updates in range(1, 5001):  # the policy is at 1, 2, 3, ...
        reference += moving.share(updates) * (updates - reference)
    assert 5000 - reference == pytest.approx(lag, abs=1e-6)


@pytest.mark.parametrize("changes", [{"decay": 1.0}, {"every": 0}])
def test_what_would_never_move_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes))):
        part("reference", "moving", **changes)
