from safelab.contracts import Term
from support.controllers import part


def test_it_costs_nothing_anywhere() -> None:
    assert [part("penalty", "none").term(kl, 0.3, 5.0) for kl in (-1.0, 0.0, 9.0)] == [Term(value=0.0, slope=0.0)] * 3
