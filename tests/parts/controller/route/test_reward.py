import pytest

from support.routes import leads, on_one_token


def test_it_takes_the_log_ratio_from_the_reward() -> None:
    assert on_one_token("reward") == pytest.approx(0.693147, abs=1e-6)
    assert leads("reward") == (False, True, False)
