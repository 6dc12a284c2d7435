from support.controllers import part


def test_no_cap() -> None:
    assert part("preview", "none").limit() is None
