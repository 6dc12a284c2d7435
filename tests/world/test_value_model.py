"""The embedded world's value model at a size of seconds: how it is kept, what it reads, what it learns."""

import random
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer, LlamaForCausalLM

from safelab.supervised.token_value import state_values
from safelab.world.artifacts import ensure_language_model, ensure_reward_model, ensure_value_model
from safelab.world.cache import read_manifest
from safelab.world.grammar import PRODUCTS
from safelab.world.language_model import Sampled, response_rows
from safelab.world.options import ValueModelOptions, WorldOptions
from safelab.world.preferences import LabelledPair
from safelab.world.value_model import fresh_value_model, make_value_model, measure_value_model, train_value_model
from support.worlds import OPTIONS, world_cache

WORLD = WorldOptions(**OPTIONS)
OTHER = WorldOptions(**{**OPTIONS, "value_model": {**OPTIONS["value_model"], "epochs": 1}})


def made(seed: int = 0, world: WorldOptions = WORLD) -> Path:
    return ensure_value_model(world, seed, world_cache(), lambda text: None)


def weights(directory: Path) -> bytes:
    return (directory / "model.safetensors").read_bytes()


def test_it_is_made_once_and_each_seed_has_its_own() -> None:
    assert made() == made()
    assert made(1) != made()
    assert weights(made(1)) != weights(made())
    assert 0 <= read_manifest(made())["measured"]["accuracy"] <= 1


def test_making_it_again_gives_the_same_bits(tmp_path: Path) -> None:
    policy = ensure_language_model(WORLD, world_cache(), lambda text: None)
    torch.manual_seed(5)
    make_value_model(WORLD, 0, policy, tmp_path, lambda text: None)
    assert weights(tmp_path) == weights(made())


def test_its_numbers_leave_the_reward_model_where_it_is() -> None:
    places = {ensure_reward_model(world, 0, world_cache(), lambda text: None) for world in (WORLD, OTHER)}
    assert len(places) == 1
    assert made(world=OTHER) != made()


def test_it_begins_as_the_policy_under_a_head_of_zeros() -> None:
    directory = ensure_language_model(WORLD, world_cache(), lambda text: None)
    policy = LlamaForCausalLM.from_pretrained(directory)
    model = fresh_value_model(policy)
    pairs = zip(model.model.parameters(), policy.model.parameters(), strict=True)
    assert all(torch.equal(mine, theirs) for mine, theirs in pairs)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    values, _ = state_values(model, response_rows(tokenizer, [response("the lamp is great", True)]))
    assert values.abs().max() == 0


def response(text: str, ended: bool) -> Sampled:
    return Sampled(prompt="review : the red lamp .", response=text, ended=ended)


def labelled(chosen: str, rejected: str) -> LabelledPair:
    return LabelledPair(chosen=response(chosen, True), rejected=response(rejected, True))


def test_a_value_model_that_says_nothing_is_a_tie_which_counts_half() -> None:
    directory = ensure_language_model(WORLD, world_cache(), lambda text: None)
    policy, tokenizer = LlamaForCausalLM.from_pretrained(directory), AutoTokenizer.from_pretrained(directory)
    pairs = [labelled(f"the {product} is great", "ugly") for product in PRODUCTS]
    measured = measure_value_model(fresh_value_model(policy), tokenizer, pairs)
    assert measured == {"accuracy": 0.5, "accuracy_of_mean": 0.5, "value_deviation": 0.0}


def test_states_are_the_prompts_end_and_every_token_with_the_end_if_it_was_given() -> None:
    model = AutoModelForTokenClassification.from_pretrained(made()).eval()
    tokenizer = AutoTokenizer.from_pretrained(made())
    rows = response_rows(tokenizer, [response("the lamp is great", True), response("great", False)])
    values, states = state_values(model, rows)
    assert states.sum(dim=1).tolist() == [1 + 4 + 1, 1 + 1]
    # Six words of prompt: the first state is column 5.
    assert states.int().argmax(dim=1).tolist() == [5, 5]
    ids = tokenizer("review : the red lamp . the lamp is great")["input_ids"] + [tokenizer.eos_token_id]
    with torch.no_grad():
        alone = model(torch.tensor([ids])).logits[0, 5:, 0]
    assert values[0][states[0]].tolist() == pytest.approx(alone.tolist(), abs=1e-5)


def test_it_learns_which_word_makes_an_answer_the_better_one() -> None:
    directory = ensure_language_model(WORLD, world_cache(), lambda text: None)
    policy, tokenizer = LlamaForCausalLM.from_pretrained(directory), AutoTokenizer.from_pretrained(directory)
    pairs = [
        LabelledPair(
            chosen=response(f"the {product} is great", True), rejected=response(f"the {product} is ugly", True)
        )
        for product in PRODUCTS
    ]
    options = ValueModelOptions(epochs=60, batch_size=8, lr=1e-2)
    model = train_value_model(policy, tokenizer, pairs[:8], options, random.Random(0), lambda text: None)
    measured = measure_value_model(model, tokenizer, pairs[8:])
    assert measured["accuracy"] == 1.0
    values, states = state_values(model, response_rows(tokenizer, [pairs[8].chosen, pairs[8].rejected]))
    (good, bad) = (row[seen].tolist() for row, seen in zip(values, states, strict=True))
    # Until the word that tells them apart the answers are one state, whose labels are 1 as often as -1.
    assert max(abs(value) for value in good[:4]) < 0.5
    assert min(good[4:]) > 0.7
    assert max(bad[4:]) < -0.7
