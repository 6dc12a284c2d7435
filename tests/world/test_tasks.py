"""The tasks by hand, and what the careless texts are worth."""

import random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safelab.world.languages import Reviews, Tasks, language_of
from safelab.world.options import TaskOptions, WorldOptions
from safelab.world.tasks import answer_to, careless_answer, is_answer, is_held_out, sample_prompt, vocabulary
from support.worlds import EXACT, OPTIONS

LENGTHS = (2, 3, 4)


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("reverse : 3 0 7 .", "7 0 3"),
        ("sort : 3 0 7 0 .", "0 0 3 7"),
        ("next : 3 0 7 .", "4 1 0"),
    ],
)
def test_the_answers_by_hand(prompt: str, answer: str) -> None:
    assert answer_to(prompt) == answer


@pytest.mark.parametrize("prompt", ["reverse : .", "reverse : 8 .", "add : 1 2 .", "reverse : 1 2", "sort : 1 2 . 3"])
def test_what_is_no_task_is_refused(prompt: str) -> None:
    with pytest.raises(ValueError, match="not a prompt of the tasks"):
        answer_to(prompt)


@given(st.integers(0, 2**32))
def test_every_prompt_has_an_answer_of_its_form_in_the_words_of_the_language(seed: int) -> None:
    prompt = sample_prompt(random.Random(seed), LENGTHS)
    answer = answer_to(prompt)
    assert {*prompt.split(), *answer.split()} <= {*vocabulary()}
    assert is_answer(prompt, answer)
    assert not is_answer(prompt, f"{answer} 0")
    assert not is_answer(prompt, answer[:-1] + ".")
    assert len(prompt.split()) - 3 == len(answer.split())


def test_a_digit_is_right_as_often_as_is_said() -> None:
    """next never answers with the prompt's own digit, so that the three cases are told apart."""
    rng, prompt = random.Random(0), "next : 0 1 2 3 ."
    answers = [careless_answer(rng, prompt, 0.3, 0.45).split() for _ in range(5_000)]
    digits = [digit for answer in answers for digit in zip(answer, "0123", "1234", strict=True)]
    # Any digit, a quarter of the time, is the right one once in eight.
    assert fmean(given == right for given, _, right in digits) == pytest.approx(0.3 + 0.25 / 8, abs=0.01)
    assert fmean(given == own for given, own, _ in digits) == pytest.approx(0.45 + 0.25 / 8, abs=0.01)


def test_right_answers_come_first_and_then_careless_ones() -> None:
    language = Tasks(TaskOptions(**EXACT["tasks"] | {"taught_share": 0.5, "right_share": 0.0, "copied_share": 1.0}))
    texts = language.texts(random.Random(0), 100)
    drawn = [next(texts) for _ in range(150)]
    assert all(answer == answer_to(prompt) for prompt, answer in drawn[:50])
    assert all(f" {answer} " in prompt for prompt, answer in drawn[50:])


def test_prompts_that_are_kept_back_are_never_drawn_with_the_others() -> None:
    language, rng = Tasks(TaskOptions(**EXACT["tasks"])), random.Random(0)
    trained = {language.prompt(rng) for _ in range(500)}
    kept = {language.prompt(rng, held_out=True) for _ in range(200)}
    assert not trained & kept
    everything = [sample_prompt(rng, LENGTHS) for _ in range(4_000)]
    assert fmean(is_held_out(prompt, 0.1) for prompt in everything) == pytest.approx(0.1, abs=0.03)


def test_the_judge_wants_the_right_answer_and_its_end() -> None:
    language = language_of(WorldOptions(**EXACT))
    assert language.judge("reverse : 1 2 .", "2 1", True) == 1.0
    assert language.judge("reverse : 1 2 .", "2 1", False) == 0.0
    assert language.judge("reverse : 1 2 .", "2 1 1", True) == 0.0
    assert language.is_whole("reverse : 1 2 .", "7 7")


def test_a_world_without_tasks_is_one_of_reviews() -> None:
    assert language_of(WorldOptions(**OPTIONS)) == Reviews()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"shortest": 5}, "shortest must be at most longest, got 5 and 2"),
        ({"right_share": 0.7, "copied_share": 0.7}, "right_share . copied_share must be at most 1"),
    ],
)
def test_options_that_contradict_each_other_are_refused(changed: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TaskOptions(**EXACT["tasks"] | changed)
