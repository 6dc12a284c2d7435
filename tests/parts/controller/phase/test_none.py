from support.controllers import part


def test_multiplier_is_one() -> None:
    assert part("phase", "none").phase(part("phase", "none").init()) == ("none", 1.0)
