import pytest

from support.routes import leads, on_one_token


def test_it_is_logged_and_leads_nowhere() -> None:
    assert on_one_token("constant") == pytest.approx(0.693147, abs=1e-6)
    assert leads("constant") == (False, False, False)
