"""What belongs to one embedded world and not to the other. Asked of the configuration, before anything is built."""

from collections.abc import Iterator, Mapping
from typing import Any

TASKS = {"data": "tasks", "reward": "right_answer", "evaluator": "right_answer"}
"""Group -> its option that belongs to the world of tasks."""

REVIEWS = {"data": "reviews", "reward": "gold_reviews", "evaluator": "gold_reviews"}
"""Group -> its option that belongs to the worlds of reviews. (Their usual reward, ``tiny_rm``, can be made in each.)"""


def world_misfits(config: Mapping[str, Any]) -> list[str]:
    """One line for data of another world than the run's; else one for each judge that cannot read this run's data."""
    return [*_data(config)] or [*_judges(config)]


def _data(config: Mapping[str, Any]) -> Iterator[str]:
    data, has_tasks = config["data"]["name"], config["world"].get("tasks") is not None
    if data == TASKS["data"] and not has_tasks:
        yield "data must not be tasks in a world of reviews, whose policy knows none, got tasks: add world=exact"
    if data == REVIEWS["data"] and has_tasks:
        yield (
            "data must be tasks with world=exact, whose policy knows no reviews, got reviews: leave data out, or take "
            "world=small"
        )


def _judges(config: Mapping[str, Any]) -> Iterator[str]:
    data = config["data"]["name"]
    for group in ("reward", "evaluator"):
        name = config[group]["name"]
        if data == REVIEWS["data"] and name == TASKS[group]:
            yield f"{group} must not be {name} with data=reviews, got {name}: no review is right; add world=exact"
        if data == TASKS["data"] and name == REVIEWS.get(group):
            yield f"{group} must be right_answer or none with data=tasks, got {name}, which reads reviews: leave it out"
