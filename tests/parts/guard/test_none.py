from safelab.parts.guard import none


def test_lets_everything_pass() -> None:
    guard = none.build(none.Options(name="none"), None)
    assert guard.verdict({"update": 3, "policy/loss": float("nan")}) is None
