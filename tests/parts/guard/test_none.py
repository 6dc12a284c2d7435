from safelab.parts.guard.none import NoGuard


def test_lets_everything_pass() -> None:
    guard = NoGuard(name="none")
    assert guard.remedy is None
    assert guard.verdict({"update": 3, "policy/loss": float("nan")}) is None
