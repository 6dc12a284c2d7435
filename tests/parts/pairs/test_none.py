from safelab.plugins import build_option
from support.models import context


def test_nothing_is_built() -> None:
    assert build_option("pairs", {"name": "none"}, context()) is None
