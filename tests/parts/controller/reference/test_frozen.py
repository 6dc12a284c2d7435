from support.controllers import part


def test_it_never_moves() -> None:
    frozen = part("reference", "frozen")
    assert not frozen.moves
    assert {frozen.share(updates) for updates in range(1, 30)} == {0.0}
