import pytest

from safelab.errors import ConfigError
from safelab.plugins import build_option
from safelab.world.tasks import answer_to
from support.models import context
from support.worlds import EXACT, OPTIONS


def source(seed: int = 0, part: str = "train", world=EXACT):
    return build_option("data", {"name": "tasks", "world": world, "part": part, "seed": seed}, context())


def test_each_prompt_has_its_right_answer() -> None:
    prompts = source().prompts(3, 20)
    assert source().columns(3, 20) == {"answer": [answer_to(prompt) for prompt in prompts]}


def test_the_cursor_is_all_the_state_and_the_seed_decides() -> None:
    assert source().prompts(3, 4) == source().prompts(0, 10)[3:7]
    assert source().prompts(0, 20) != source(1).prompts(0, 20)


def test_what_is_kept_back_is_not_trained_on() -> None:
    assert not {*source().prompts(0, 500)} & {*source(part="held_out").prompts(0, 200)}


def test_a_world_of_reviews_has_none() -> None:
    with pytest.raises(ConfigError, match=r"data\.world must have tasks, got a world of reviews: add world=exact"):
        source(world=OPTIONS)
