"""What belongs to one embedded world and not to the other. Asked of the configuration, before anything is built."""

from collections.abc import Iterator, Mapping
from typing import Any

from safelab.plugins import find

TASKS = {"data": "tasks", "reward": "right_answer", "evaluator": "right_answer"}
"""Group -> its option that belongs to the world of tasks."""

REVIEWS = {"data": "reviews", "reward": "gold_reviews", "evaluator": "gold_reviews"}
"""Group -> its option that belongs to the worlds of reviews. (Another reward, ``tiny_rm``, is made in each world.)"""


def world_misfits(config: Mapping[str, Any]) -> list[str]:
    """One line for data of another world than the run's; else one for each judge that cannot read this run's data.

    What an option holds (``data.of``, ``reward.members``) is asked, too.
    """
    return [*_data(config)] or [*_triage(config)] or [*_judges(config)]


def names_in(option: Any) -> Iterator[str]:
    """The name of an option, and of every option that it holds."""
    if isinstance(option, Mapping):
        yield from [option["name"]] if "name" in option else []
        option = list(option.values())
    if isinstance(option, list):
        for value in option:
            yield from names_in(value)


def _data(config: Mapping[str, Any]) -> Iterator[str]:
    data, has_tasks = set(names_in(config["data"])), config["world"].get("tasks") is not None
    if TASKS["data"] in data and not has_tasks:
        yield "data must not be tasks in a world of reviews, whose policy knows none, got tasks: add world=exact"
    if REVIEWS["data"] in data and has_tasks:
        yield (
            "data must be tasks with world=exact, whose policy knows no reviews, got reviews: leave data out, or take "
            "world=small"
        )


def _triage(config: Mapping[str, Any]) -> Iterator[str]:
    """A loss that sorts pairs asks two judges of them, and no right answer judges pairs."""
    name, data = config["preference"]["name"], set(names_in(config["data"]))
    judges = {judge for group in ("reward", "evaluator") for judge in names_in(config[group])}
    sorts = getattr(find("preference", name), "sorts", False)
    if sorts and TASKS["data"] in data and judges & {REVIEWS["reward"], TASKS["reward"]}:
        yield (
            f"preference must not be {name} with world=exact, where nothing scores pairs under a changed norm, got "
            f"{name}: take world=small"
        )


def _judges(config: Mapping[str, Any]) -> Iterator[str]:
    data = set(names_in(config["data"]))
    for group in ("reward", "evaluator"):
        judges = set(names_in(config[group]))
        if REVIEWS["data"] in data and (name := TASKS[group]) in judges:
            yield f"{group} must not be {name} with data=reviews, got {name}: no review is right; add world=exact"
        if TASKS["data"] in data and (name := REVIEWS[group]) in judges:
            yield f"{group} must be right_answer or none with data=tasks, got {name}, which reads reviews: leave it out"
    preference = config["preference"]["name"]
    if getattr(find("preference", preference), "needs_reward", False) and TASKS["reward"] in names_in(config["reward"]):
        yield (
            f"reward must not be right_answer with preference={preference}, which scores pairs, got right_answer, "
            "which reads the column answer that pairs lack: add reward=tiny_rm"
        )
