"""An engine that sleeps, dies or takes half of its weights: each is one message that says what it was doing."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from safelab.errors import EngineFailed
from safelab.maths.seeds import row_seeds
from safelab.parts.rollout import _watch
from safelab.parts.rollout._handover import Receiver
from support.models import context, tiny_policy
from support.objectives import component
from support.runs import numbers, run, small
from support.vllm_stand_in import LLM

LORA = {"name": "lora", "rank": 4, "alpha": 8.0, "targets": None}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_watch, "LOOK_S", 0.01)
    monkeypatch.setattr(_watch, "GRACE_S", 0.01)


def sampled(policy: Any, **changes: Any) -> Callable[[], Any]:
    """A rollout of two prompts, each time that it is called."""
    sampler = component("rollout", "vllm", context(policy), batch_size=2, max_new_tokens=4, **changes)
    return lambda: sampler.sample(policy, policy.encode(["a b", "c"], [0, 1]), row_seeds(0, 0, rows=2))


def test_an_engine_that_does_not_start_is_one_message(stand_in: list[LLM], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **settings: object) -> None:
        raise ValueError("Free memory on device (3/80 GiB) is less than desired")

    monkeypatch.setattr(LLM, "__init__", full)
    with pytest.raises(EngineFailed, match=r"could not start its engine, raised ValueError: Free memory on device"):
        sampled(tiny_policy())


@pytest.mark.parametrize(("name", "doing"), [
    ("wake_up", "wake up for its weights"),
    ("start_weight_update", "take the policy's weights"),
    ("reset_prefix_cache", "forget older weights"),
    ("generate", "write the responses"),
    ("sleep", "sleep"),
])  # fmt: skip
def test_whatever_fails_is_named(stand_in: list[LLM], monkeypatch: pytest.MonkeyPatch, name: str, doing: str) -> None:
    def refuse(*arguments: object, **settings: object) -> None:
        raise RuntimeError("CUDA out of memory")

    write = sampled(tiny_policy())
    monkeypatch.setattr(LLM, name, refuse)
    with pytest.raises(EngineFailed, match=f"engine could not {doing}: RuntimeError: CUDA out of memory"):
        write()


def test_an_engine_that_sleeps_when_it_should_write_is_told(
    stand_in: list[LLM], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = sampled(tiny_policy())
    monkeypatch.setattr(LLM, "wake_up", lambda self, tags: self.awake.update(tags))
    with pytest.raises(EngineFailed, match=r"could not write the responses: AssertionError: the engine sleeps"):
        write()


@pytest.mark.parametrize("place", [{}, {"devices": [1]}], ids=["shared", "apart"])
@pytest.mark.parametrize("adapter", [{}, LORA], ids=["full", "lora"])
def test_a_process_that_is_killed_while_it_writes_ends_the_run(
    stand_in: list[LLM], monkeypatch: pytest.MonkeyPatch, place: dict[str, Any], adapter: dict[str, Any]
) -> None:
    write = sampled(tiny_policy(**adapter), **place)
    write()
    killed = threading.Event()
    monkeypatch.setattr(LLM, "before_generate", staticmethod(lambda llm: killed.set() or llm.die()))
    with pytest.raises(EngineFailed, match=r"could not write the responses: its process was killed by signal 9; "):
        write()
    assert killed.is_set()


def test_an_engine_that_died_meanwhile_says_so_before_it_is_sent_anything(stand_in: list[LLM]) -> None:
    write = sampled(tiny_policy(), devices=[1])
    write()
    stand_in[0].process.end(1)
    with pytest.raises(
        EngineFailed, match=r"take the policy's weights: its process ended with exit code 1 \(EngineDead"
    ):
        write()


def test_a_response_that_was_broken_off_is_none(stand_in: list[LLM], monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that is shut down gives what it has."""
    write = sampled(tiny_policy())
    whole = LLM._one

    def cut(self: LLM, *asked: Any) -> Any:
        answer = whole(self, *asked)
        answer.outputs[0].finish_reason = "abort"
        return answer

    monkeypatch.setattr(LLM, "_one", cut)
    with pytest.raises(EngineFailed, match=r"must write every response to its end, and broke off \(abort\)"):
        write()


def test_weights_that_are_not_those_of_the_shape_are_named_before_any_is_sent(stand_in: list[LLM]) -> None:
    policy = tiny_policy()
    write = sampled(policy, devices=[1])
    write()
    del policy.module.model.norm.weight
    policy.module.lm_head.weight = torch.nn.Parameter(policy.module.lm_head.weight[:3])
    policy.module.register_parameter("bonus", torch.nn.Parameter(torch.zeros(1)))
    with pytest.raises(EngineFailed) as refused:
        write()
    said = str(refused.value)
    assert "got no model.norm.weight, bonus, which it has not, lm_head.weight of shape (3, " in said
    assert not stand_in[0].updating


@pytest.mark.parametrize("devices", [None, [1]], ids=["shared", "apart"])
def test_a_hand_over_that_fails_half_way_ends_the_run(
    stand_in: list[LLM], monkeypatch: pytest.MonkeyPatch, devices: list[int] | None
) -> None:
    """Here the announcement loses a weight on its way; the engine's own check says which."""
    policy = tiny_policy()
    write = sampled(policy, devices=devices)
    whole = Receiver.update_weights

    def halved(self: Receiver, info: dict[str, Any]) -> None:
        whole(self, {name: value[:-1] if name == "names" else value for name, value in info.items()})

    monkeypatch.setattr(Receiver, "update_weights", halved)
    with pytest.raises(EngineFailed, match="could not take the policy's weights: ValueError: zip"):
        write()


def test_a_hand_over_that_was_forgotten_is_seen_in_the_tokens(
    stand_in: list[LLM], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the stand-in is for: it has no way to the weights but this one."""
    policy = tiny_policy()
    write = sampled(policy, devices=[1])
    before = write()
    with torch.no_grad():
        policy.module.lm_head.weight.neg_()
    after = write()
    monkeypatch.setattr("safelab.parts.rollout._handover.WholeWeights.send", lambda self, llm: None)
    with torch.no_grad():
        policy.module.lm_head.weight.neg_()
    stale = write()
    assert not torch.equal(before.logp_rollout_tok[:, 0], after.logp_rollout_tok[:, 0])
    assert torch.equal(stale.logp_rollout_tok, after.logp_rollout_tok)


@pytest.mark.slow
@pytest.mark.parametrize("asked", [[], ["rollout.devices=[1]", "rollout.staleness=1"]], ids=["shared", "beside"])
def test_a_run_whose_engine_dies_goes_on_from_its_last_checkpoint(
    stand_in: list[LLM], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: list[str]
) -> None:
    settings = ["algorithm=cispo", "objective.anchor=old", "rollout=vllm", "rollout.batch_size=4", "updates=4",
                "rollout.max_new_tokens=4", "policy.max_prompt_tokens=16", "checkpoint.every=1", *asked]  # fmt: skip
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    whole = run(small(tmp_path / "a", *settings))[1]
    broken = small(tmp_path / "b", *settings)
    written = []

    def fourth_time(llm: LLM) -> None:
        written.append(llm)
        if len(written) == 4:
            llm.die()

    monkeypatch.setattr(LLM, "before_generate", staticmethod(fourth_time))
    outcome, rows = run(broken)
    assert outcome.status == "failed"
    assert "its process was killed by signal 9; the same command goes on from the last checkpoint" in outcome.reason
    assert 0 < len(rows) < 4
    assert not [thread for thread in threading.enumerate() if thread.name == "rollout beside training"]
    outcome, rows = run(broken)
    assert outcome.status == "finished"
    assert numbers(rows) == numbers(whole)
