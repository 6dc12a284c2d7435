import json
from pathlib import Path

import pytest
import torch
import yaml

from safelab.errors import ConfigError
from safelab.options import restored
from safelab.plugins import build_option
from safelab.types import PromptBatch, Rollout
from support.models import context

CONF = Path(__file__).parents[3] / "conf" / "shaping"

# Tokens: five alike (1 - 1/4 repeated pairs), then four different, then one.
IDS = torch.tensor([[4, 4, 4, 4, 4], [1, 2, 3, 5, 0], [7, 0, 0, 0, 0]])
MASK = torch.tensor([[True] * 5, [True] * 4 + [False], [True] + [False] * 4])
REWARD = torch.tensor([1.0, 2.0, 6.0])


def rollout(ids=IDS, mask=MASK, ended=(False, True, True)) -> Rollout:
    rows = len(ids)
    prompts = PromptBatch(
        texts=("p",) * rows,
        ids=torch.ones(rows, 1, dtype=torch.long),
        mask=torch.ones(rows, 1, dtype=torch.bool),
        group_seq=torch.arange(rows),
    )
    return Rollout(prompts=prompts, ids=ids, mask=mask, ended_seq=torch.tensor(ended), responses=("r",) * rows)


def preset(name, **changes):
    """``conf/shaping/<name>``, its nested normaliser read from its own file."""
    config = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    normaliser = config.pop("defaults")[0]["normaliser"]
    nested = yaml.safe_load((CONF / "normaliser" / f"{normaliser}.yaml").read_text())
    return build_option("shaping", {**config, "normaliser": nested, **changes}, context())


def test_none_changes_nothing_to_the_last_bit():
    stack = preset("none")
    _, shaped = stack.step(stack.init(), rollout(), REWARD)
    assert torch.equal(shaped.shaped_seq, REWARD)
    assert shaped.metrics == {"reward/shaped_mean": 3.0}


def test_charges_are_subtracted_in_units_of_the_raw_reward():
    stack = preset("none", missing_end_penalty=0.5, repetition_penalty=2.0)
    _, shaped = stack.step(stack.init(), rollout(), REWARD)
    # 1 - .5 - 2 * .75; the others ended and repeat nothing
    assert shaped.shaped_seq.tolist() == [-1.0, 2.0, 6.0]
    assert shaped.metrics["reward/charge_mean"] == pytest.approx(2 / 3)


def test_the_charge_for_a_missing_end_alone():
    stack = preset("none", missing_end_penalty=0.5)
    _, shaped = stack.step(stack.init(), rollout(ended=(True, False, False)), REWARD)
    assert shaped.shaped_seq.tolist() == [1.0, 1.5, 5.5]


def test_a_missing_end_has_a_reward_of_its_own_whatever_the_reward_says():
    """``torch.where(contain_eos_token, scores, penalty_reward_value)`` of Huang et al.'s code, with its -1."""
    stack = preset("none", missing_end_reward=-1.0)
    _, shaped = stack.step(stack.init(), rollout(ended=(True, False, False)), torch.tensor([1.0, 9.0, -9.0]))
    assert shaped.shaped_seq.tolist() == [1.0, -1.0, -1.0]
    assert set(shaped.metrics) == {"reward/shaped_mean"}


def test_0_is_a_reward_too_and_repetition_is_charged_on_top():
    stack = preset("none", missing_end_reward=0.0, repetition_penalty=2.0)
    _, shaped = stack.step(stack.init(), rollout(), REWARD)
    assert shaped.shaped_seq.tolist() == [-1.5, 2.0, 6.0]


def test_a_penalty_on_what_is_replaced_is_refused():
    with pytest.raises(ConfigError, match=r"must have missing_end_penalty=0 with a missing_end_reward, got 0\.5"):
        preset("none", missing_end_reward=-1.0, missing_end_penalty=0.5)
    with pytest.raises(ConfigError, match="missing_end_reward must be a finite number"):
        preset("none", missing_end_reward=float("nan"))


def test_clip_bounds_what_leaves_the_normaliser():
    stack = preset("none", clip=1.5)
    _, shaped = stack.step(stack.init(), rollout(), torch.tensor([-9.0, 1.0, 6.0]))
    assert shaped.shaped_seq.tolist() == [-1.5, 1.0, 1.5]
    assert shaped.metrics["reward/clip_fraction"] == pytest.approx(2 / 3)


def test_charges_come_before_the_normaliser():
    whiten = {"name": "whiten", "eps": 1e-12, "shift_mean": True}
    stack = preset("none", missing_end_penalty=1.0, normaliser=whiten)
    reward = torch.tensor([2.0, 1.0, 1.0])
    # All equal to 1 after the charge: nothing is left to whiten.
    assert stack.step(stack.init(), rollout(), reward)[1].shaped_seq.tolist() == [0, 0, 0]


def test_running_measures_a_batch_on_those_before():
    stack = preset("running")
    state, first = stack.step(stack.init(), rollout(), torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(first.shaped_seq, torch.tensor([-1.0, 0.0, 1.0]))
    _, second = stack.step(state, rollout(), torch.tensor([4.0, 2.0, 99.0]))
    # Deviations of 1 around 2; 97 is cut to 10.
    torch.testing.assert_close(second.shaped_seq, torch.tensor([2.0, 0.0, 10.0]))


def test_released_is_updated_before_use():
    stack = preset("released")
    state, _ = stack.step(stack.init(), rollout(), torch.tensor([1.0, 2.0, 3.0]))
    assert state.normaliser.mean == pytest.approx(1.999933336, abs=1e-9)


@pytest.mark.parametrize("name", ["none", "running", "released"])
def test_a_state_in_flight_goes_on_after_json_as_if_uninterrupted(name):
    stack = preset(name)
    state, _ = stack.step(stack.init(), rollout(), torch.tensor([0.1, 0.7, 0.3]))
    saved = json.loads(json.dumps(state.model_dump()))
    again = restored(stack.init(), saved)
    assert again == state
    expected = stack.step(state, rollout(), REWARD)[1].shaped_seq
    assert torch.equal(stack.step(again, rollout(), REWARD)[1].shaped_seq, expected)


@pytest.mark.parametrize("name", ["none", "running", "released"])
def test_a_step_edits_neither_state_nor_rewards(name):
    stack = preset(name)
    state, reward = stack.init(), REWARD.clone()
    before = state.model_dump_json()
    stack.step(state, rollout(), reward)
    assert state.model_dump_json() == before
    assert torch.equal(reward, REWARD)


def test_permuting_responses_permutes_rewards():
    stack = preset("running", missing_end_penalty=0.5, repetition_penalty=1.0)
    order = torch.tensor([2, 0, 1])
    straight = stack.step(stack.init(), rollout(), REWARD)[1].shaped_seq
    ended = tuple(torch.tensor([False, True, True])[order].tolist())
    permuted = stack.step(stack.init(), rollout(IDS[order], MASK[order], ended), REWARD[order])[1].shaped_seq
    torch.testing.assert_close(permuted, straight[order])


def test_padding_tokens_do_not_count_as_repetition():
    stack = preset("none", repetition_penalty=1.0)
    longer = rollout(torch.cat([IDS, torch.full((3, 6), 9)], 1), torch.cat([MASK, torch.zeros(3, 6).bool()], 1))
    expected = stack.step(stack.init(), rollout(), REWARD)[1].shaped_seq
    assert torch.equal(stack.step(stack.init(), longer, REWARD)[1].shaped_seq, expected)
