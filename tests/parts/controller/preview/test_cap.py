import pytest

from safelab.errors import ConfigError
from support.controllers import part


def test_released_cap() -> None:
    assert part("preview", "cap").limit() == 0.5


def test_a_cap_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="max_kl"):
        part("preview", "cap", max_kl=0.0)
