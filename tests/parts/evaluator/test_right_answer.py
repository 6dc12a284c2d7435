import pytest

from safelab.contracts import reading_of
from safelab.plugins import build_option
from support.models import context


@pytest.mark.parametrize(
    ("response", "ended", "score"),
    [("7 0 3", True, 1.0), (" 7  0 3 ", True, 1.0), ("7 0 3", False, 0.0), ("7 0", True, 0.0), ("7 0 3 3", True, 0.0)],
)
def test_only_the_whole_right_answer_with_its_end_counts(response: str, ended: bool, score: float) -> None:
    judge = build_option("evaluator", {"name": "right_answer"}, context())
    assert judge.score(["reverse : 3 0 7 ."], [response], [ended], answer=["7 0 3"]) == [score]


def test_it_reads_the_data_for_the_answer() -> None:
    assert reading_of(build_option("evaluator", {"name": "right_answer"}, context())).must == {"answer"}
