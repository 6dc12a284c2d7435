from hypothesis import given
from hypothesis import strategies as st

from safelab.maths.passes import drawn_rows


@given(size=st.integers(1, 9), start=st.integers(0, 40))
def test_each_pass_takes_every_item_once(size: int, start: int) -> None:
    rows = drawn_rows(3, "pairs", size, start * size, 2 * size)
    assert sorted(rows[:size]) == sorted(rows[size:]) == list(range(size))


def test_it_does_not_matter_how_the_sequence_is_cut() -> None:
    whole = drawn_rows(3, "pairs", 5, 0, 17)
    assert [row for cursor in range(17) for row in drawn_rows(3, "pairs", 5, cursor, 1)] == whole


def test_seed_use_and_pass_give_orders_of_their_own() -> None:
    orders = {tuple(drawn_rows(seed, use, 50, 0, 50)) for seed in (0, 1) for use in ("data", "pairs")}
    assert len(orders) == 4
    assert drawn_rows(0, "data", 50, 0, 50) != drawn_rows(0, "data", 50, 50, 50)
