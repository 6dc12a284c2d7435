from support.controllers import part


def test_no_cap() -> None:
    assert part("preview", "none").max_kl is None
