from safelab.plugins import build_option
from support.models import context


def test_there_is_no_score() -> None:
    assert build_option("evaluator", {"name": "none"}, context()).score(["p"], ["r"], [True]) is None
