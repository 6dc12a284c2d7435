"""A world's own data, reward and evaluator come with it, may be others, and are refused in the other world."""

import pytest

from safelab.app.config.build import problems
from support.runs import resolved


def names(*overrides: str) -> tuple[str, ...]:
    config = resolved(*overrides)
    assert problems(config) == []
    return tuple(config[group]["name"] for group in ("data", "reward", "evaluator"))


def test_the_world_of_tasks_brings_its_own() -> None:
    assert names("world=exact", "algorithm=grpo") == ("tasks", "right_answer", "right_answer")
    assert names("world=small") == names("world=large") == ("reviews", "tiny_rm", "gold_reviews")


def test_they_may_be_others() -> None:
    assert names("world=exact", "reward=tiny_rm", "evaluator=none") == ("tasks", "tiny_rm", "none")
    assert names("world=exact", "algorithm=dvpo", "data=tasks") == ("tasks", "right_answer", "right_answer")
    assert names("world=exact", "algorithm=var", "reward=tiny_rm") == ("tasks", "tiny_rm", "right_answer")
    nested = ("data=perturbed", "data@data.of=tasks", "reward=perturbed", "reward@reward.of=right_answer")
    assert names("world=exact", *nested)[:2] == ("perturbed", "perturbed")
    assert resolved("world=exact", "rollout.max_new_tokens=6")["rollout"]["max_new_tokens"] == 6


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["world=exact", "data=reviews"], "data must be tasks with world=exact, whose policy knows no reviews, got"),
        (["world=exact", "algorithm=dpo", "data=reviews"], "data must be tasks with world=exact"),
        (["data=tasks"], "data must not be tasks in a world of reviews, whose policy knows none, got tasks: add world"),
        (["world=exact", "evaluator=gold_reviews"], "evaluator must be right_answer or none with data=tasks, got gold"),
        (["reward=right_answer"], "reward must not be right_answer with data=reviews, got right_answer: no review is"),
        (["evaluator=right_answer"], "evaluator must not be right_answer with data=reviews"),
        (["data=perturbed", "data@data.of=tasks"], "data must not be tasks in a world of reviews"),
        (["world=exact", "data=perturbed", "data@data.of=reviews"], "data must be tasks with world=exact"),
        (["world=exact", "reward=perturbed", "reward@reward.of=gold_reviews"], "reward must be right_answer or none"),
        (["world=exact", "evaluator=reward", "reward@evaluator.of=gold_reviews"], "evaluator must be right_answer or"),
        (["evaluator=reward", "reward@evaluator.of=right_answer"], "evaluator must not be right_answer with data=rev"),
        (["world=exact", "algorithm=var"], "reward must not be right_answer with preference=var, which scores pairs"),
        (["world=exact", "algorithm=trace"], "preference must not be trace with world=exact, where nothing scores"),
    ],
)
def test_what_belongs_to_the_other_world_is_refused_in_one_line(overrides: list[str], said: str) -> None:
    (line,) = problems(resolved(*overrides))
    assert line.startswith(said)
