"""Whether a response is the right answer."""


def is_right(response: str, ended: bool, answer: str) -> bool:
    """Whether ``response`` has the words of ``answer``, no more and no other, and gave its end token."""
    return ended and response.split() == answer.split()
