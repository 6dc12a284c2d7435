from safelab.maths.answers import is_right


def test_words_and_end_decide() -> None:
    assert is_right("1 2", True, "1 2")
    assert is_right("1\n2 ", True, "1 2")
    assert not is_right("1 2", False, "1 2")
    assert not is_right("12", True, "1 2")
    assert not is_right("", True, "1 2")
