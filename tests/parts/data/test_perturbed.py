"""What the policy reads is perturbed by its law; what is judged by is not; a run goes on with the same faults."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from safelab.app.commands.evaluate import held_out
from safelab.contracts import asked_of
from safelab.parts.data.perturbed import kept, swapped
from safelab.plugins import build_option, faults
from safelab.training.rollouts import draw_prompts
from support.models import context
from support.runs import numbers, parts_of, run, small, trained

WORDS = [f"w{number}" for number in range(4000)]
DIALOGUE = "\n\nHuman: how do I  bake bread?\n\nAssistant: Slowly.\n\nHuman: why\n\nAssistant:"


def option(**changes: Any) -> dict[str, Any]:
    given = {"of": {"name": "reviews", "seed": 3}, "drop_share": 0.0, "swap_share": 0.0, "seed": 7}
    return {"name": "perturbed", **given, **changes}


def perturbed(**changes: Any) -> Any:
    return build_option("data", option(**changes), context())


def generator(seed: int = 1) -> numpy.random.Generator:
    return numpy.random.default_rng(seed)


def test_it_judges_by_the_prompts_of_the_source() -> None:
    inner = build_option("data", option()["of"], context())
    assert perturbed(drop_share=0.5).prompts(5, 9) == inner.prompts(5, 9)


@pytest.mark.parametrize("text", [DIALOGUE, " a  b\n", "one", "review : the red lamp ."])
def test_without_faults_the_policy_reads_what_is_there(text: str) -> None:
    assert perturbed().asked(text, 4) == text


def test_the_share_that_is_asked_for_is_left_out_and_the_rest_keeps_its_order() -> None:
    found = [word for _, word in kept(WORDS, 0.2, generator())]
    assert abs(len(found) / len(WORDS) - 0.8) < 4 * (0.16 / len(WORDS)) ** 0.5
    assert found == sorted(found, key=WORDS.index)


def test_neighbours_change_places_in_the_share_that_is_asked_for() -> None:
    found = swapped(WORDS, 0.25, generator())
    assert sorted(found) == sorted(WORDS)
    moves = Counter(WORDS.index(word) - place for place, word in enumerate(found))
    assert set(moves) == {-1, 0, 1}
    # One chance a pair, and none for the pair behind an exchange: share / (1 + share) exchanges a word.
    assert abs(moves[1] / len(WORDS) - 0.2) < 0.03
    assert swapped(["a", "b", "c", "d", "e"], 1.0, generator()) == ["b", "a", "d", "c", "e"]


def test_a_word_that_says_whose_turn_it_is_stays() -> None:
    assert perturbed(drop_share=1.0).asked(DIALOGUE, 0) == "\n\nHuman: how\n\nAssistant:\n\nHuman:\n\nAssistant:"
    turns = [word for word in perturbed(swap_share=1.0).asked(DIALOGUE, 0).split() if word.endswith(":")]
    assert turns == ["Human:", "Assistant:", "Human:", "Assistant:"]
    assert perturbed(drop_share=1.0).asked("review : the red lamp .", 0) == "review :"


def test_a_word_goes_with_the_space_before_it() -> None:
    texts = {perturbed(drop_share=0.5).asked(" a  b\nc ", number) for number in range(60)}
    assert texts == {" a  b\nc ", " a  b ", " a\nc ", " b\nc ", " a ", " b ", " c "}


def test_the_faults_belong_to_seed_and_number() -> None:
    text = " ".join(WORDS[:50])
    source = perturbed(drop_share=0.3, swap_share=0.3)
    assert source.asked(text, 8) == source.asked(text, 8)
    assert len({source.asked(text, 8), source.asked(text, 9), perturbed(drop_share=0.3, seed=8).asked(text, 8)}) == 3


def test_a_source_of_ones_own_without_such_faults_is_read_as_it_is() -> None:
    class Mine:
        def prompts(self, cursor: int, count: int) -> list[str]:
            return ["a"] * count

    assert asked_of(Mine(), ["a", "b"], [0, 1]) == ["a", "b"]  # type: ignore[arg-type]


def config_of(tmp_path: Path, *overrides: str, drop: float = 0.5) -> dict[str, Any]:
    found = small(tmp_path, "rollout.batch_size=8", *overrides)
    return {**found, "data": option(of=found["data"], drop_share=drop)}


def test_a_group_is_asked_one_thing_and_judged_by_another(tmp_path: Path) -> None:
    """Prompts ``a b c`` and the like, to each of which four responses are written."""
    asked = ("algorithm=grpo", "rollout.samples_per_prompt=4", "rollout.batch_size=16")
    parts = parts_of(config_of(tmp_path, *asked, drop=0.9))
    batch = draw_prompts(parts, 0)
    clean = parts.policy.encode(batch.texts, [0] * 16)
    assert list(batch.texts) == [text for text in parts.data.prompts(0, 4) for _ in range(4)]
    assert clean.mask.sum() > batch.mask.sum()
    assert all(torch.equal(batch.ids[row], batch.ids[row // 4 * 4]) for row in range(16))


@pytest.mark.slow
def test_a_resumed_run_meets_the_same_faults(tmp_path: Path) -> None:
    def config(updates: int, where: str) -> dict[str, Any]:
        found = config_of(tmp_path, f"updates={updates}", "checkpoint.every=1", "rollout.staleness=1")
        return {**found, "output_dir": str(tmp_path / where)}

    _, whole = run(config(4, "whole"))
    run(config(2, "parts"))
    _, resumed = run(config(4, "parts"))
    assert numbers(resumed) == numbers(whole)
    clean = trained(config_of(tmp_path, "updates=4", "rollout.staleness=1", drop=0.0))[2]
    assert numbers(clean) != numbers(whole)


def test_its_own_source_keeps_prompts_back_and_is_evaluated_with_the_same_faults() -> None:
    data = option(drop_share=0.5)
    found = held_out({"seed": 0, "data": data}, None)["data"]
    assert found["of"]["seed"] != data["of"]["seed"]
    assert {**found, "of": data["of"]} == data
    assert held_out({"seed": 0, "data": data}, Path("own.txt"))["data"]["name"] == "text"


def test_what_it_holds_is_checked_under_its_own_key() -> None:
    (found,) = faults("data", option(of={"name": "reveiws"}))
    assert found.startswith("data.of.name must name an option of data, got 'reveiws'")
    (found,) = faults("data", option(drop_share=1.5))
    assert found.startswith("data.drop_share must be <= 1")
