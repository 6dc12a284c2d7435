import pytest

from safelab.plugins import build_option
from support.worlds import OPTIONS, world_context

PROMPT = "review : the red lamp ."


def build(seed: int):
    return build_option("reward", {"name": "tiny_rm", "world": OPTIONS, "seed": seed}, world_context())


@pytest.mark.slow
def test_rewards_lie_between_0_and_1_and_do_not_depend_on_the_batch() -> None:
    reward = build(0)
    texts = ["the lamp is great", "the lamp is great great great", "i hate the lamp"]
    together = reward.score([PROMPT] * 3, texts, [True] * 3)
    assert all(0.0 < value < 1.0 for value in together)
    alone = [reward.score([PROMPT], [text], [True])[0] for text in texts]
    assert all(abs(one - other) < 1e-5 for one, other in zip(together, alone, strict=True))


def test_it_sees_whether_the_response_ended() -> None:
    reward = build(0)
    assert reward.score([PROMPT], ["the lamp is great"], [True]) != reward.score(
        [PROMPT], ["the lamp is great"], [False]
    )


def test_each_seed_draws_its_own_preferences() -> None:
    texts = ["the lamp is great"]
    assert build(0).score([PROMPT], texts, [True]) == build(0).score([PROMPT], texts, [True])
    assert build(0).score([PROMPT], texts, [True]) != build(1).score([PROMPT], texts, [True])
