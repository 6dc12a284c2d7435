"""A rollout that is written while the policy is trained: the order of events, the same rows, and no thread left."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from safelab.contracts import Sampler
from safelab.errors import ConfigError, Diverged, RunFailed
from safelab.ranks import Ranks
from safelab.training import loop
from safelab.training.aside import begun
from safelab.training.clock import BESIDE, WAIT, Clock
from safelab.training.lifecycle import checkpoint
from safelab.training.lifecycle.run import train
from safelab.training.loop import train_update
from safelab.training.state import initial_state
from support import vllm_stand_in
from support.ranks import on_ranks
from support.runs import numbers, parts_of, run, small, trained
from support.vllm_stand_in import LLM

ENGINE = ("rollout=vllm", "rollout.batch_size=4", "rollout.max_new_tokens=4", "policy.max_prompt_tokens=16",
          "algorithm=cispo", "objective.anchor=old", "optimizer.lr=1e-2", "updates=4")  # fmt: skip
APART = (*ENGINE, "rollout.devices=[1]")
SOON = 20.0
"""Seconds after which a test that waits has failed."""


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> list[LLM]:
    return vllm_stand_in.install(monkeypatch)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = threading.enumerate()  # tests of dead engines leave those that wait for them
    yield
    new = [thread for thread in threading.enumerate() if thread not in before]
    assert not [thread for thread in new if thread.name.startswith(("rollout", "engine"))]


def at_generate(monkeypatch: pytest.MonkeyPatch, when: str, act: Any) -> None:
    monkeypatch.setattr(LLM, f"{when}_generate", staticmethod(lambda llm: act()))


def at_training(monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
    """``act`` before the optimiser's epochs of every update."""
    optimise = loop.optimise

    def watched(*arguments: Any) -> Any:
        act()
        return optimise(*arguments)

    monkeypatch.setattr(loop, "optimise", watched)


@pytest.mark.parametrize("staleness", [1, 2])
@pytest.mark.parametrize("more", [[], ["policy/adapter=lora"], ["algorithm=remax"]], ids=["full", "lora", "greedy"])
def test_rows_are_those_of_one_after_the_other(tmp_path: Path, staleness: int, more: list[str]) -> None:
    """On the trainer's own GPU the engine writes before the policy is trained, by the same weights."""
    settings = [*more, f"rollout.staleness={staleness}"]
    after = trained(small(tmp_path, *ENGINE, *settings))[2]
    beside = trained(small(tmp_path, *APART, *settings))[2]
    assert numbers(beside) == numbers(after)
    assert [row["response/lag_updates"] for row in beside] == [min(update, staleness) for update in range(4)]
    assert all("time/rollout_beside_s" in row and 0 <= row["speed/hidden_share"] <= 1 for row in beside)
    assert not any("time/rollout_beside_s" in row or "speed/hidden_share" in row for row in after)


@pytest.mark.parametrize("more", [[], ["policy/adapter=lora"]], ids=["full", "lora"])
@pytest.mark.parametrize("place", [[], ["rollout.devices=[2,3]", "rollout.staleness=1"]], ids=["shared", "beside"])
def test_each_rank_has_an_engine_which_is_handed_whole_weights(
    tmp_path: Path, more: list[str], place: list[str]
) -> None:
    """Layers that lie in parts are whole for it."""
    config = small(tmp_path, *ENGINE, *more, *place, "ranks=2", "optimizer.lr=1e-3")

    def rows_of(sharding: str, ranks: Ranks) -> list[dict[str, Any]]:
        return numbers(trained({**config, "policy": {**config["policy"], "sharding": sharding}}, ranks)[2])

    whole, spread = (on_ranks(2, partial(rows_of, sharding)) for sharding in ("none", "layers"))
    for ours, theirs in zip(spread[1], whole[0], strict=True):
        assert {name: ours[name] for name in theirs if isinstance(theirs[name], str)} == {
            name: value for name, value in theirs.items() if isinstance(value, str)
        }
        floats = {name: value for name, value in theirs.items() if not isinstance(value, str)}
        assert {name: ours[name] for name in floats} == pytest.approx(floats, rel=1e-5, abs=1e-6)


def test_without_staleness_nothing_is_written_beside(tmp_path: Path) -> None:
    rows = [trained(small(tmp_path, *settings))[2] for settings in (ENGINE, APART)]
    assert numbers(rows[0]) == numbers(rows[1])
    assert not any("response/lag_updates" in row or "speed/hidden_share" in row for row in rows[1])


def test_the_policy_is_trained_between_the_beginning_and_the_end_of_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing ends only once training has, and training begins only once writing has: neither waits for the other."""
    parts = parts_of(small(tmp_path, *APART, "rollout.staleness=1"))
    state = train_update(parts, initial_state(parts)).state
    events: list[str] = []
    writing, done = threading.Event(), threading.Event()
    stepped = loop.check_weights

    def begin() -> None:
        events.append("writing")
        writing.set()
        assert done.wait(SOON), "training waits for the writing"

    def trained_now(*arguments: Any) -> None:
        stepped(*arguments)
        events.append("trained")
        done.set()

    at_generate(monkeypatch, "before", begin)
    at_generate(monkeypatch, "after", lambda: events.append("written"))
    at_training(monkeypatch, lambda: events.append("training") if writing.wait(SOON) else None)
    monkeypatch.setattr(loop, "check_weights", trained_now)
    step = train_update(parts, state)
    assert events == ["writing", "training", "trained", "written"]
    assert len(step.state.pending) == 1
    assert step.state.pending[0].written == 1


def test_what_is_written_meanwhile_is_by_the_weights_of_the_updates_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They move while the engine writes; its tokens' probabilities are those of before."""
    parts = parts_of(small(tmp_path, *APART, "rollout.staleness=1", "optimizer.lr=0.1"))
    state = train_update(parts, initial_state(parts)).state
    before = {name: weight.detach().clone() for name, weight in parts.policy.module.named_parameters()}
    trained_on = threading.Event()
    stepped = loop.check_weights
    monkeypatch.setattr(loop, "check_weights", lambda *given: (stepped(*given), trained_on.set()))
    at_generate(monkeypatch, "before", lambda: trained_on.wait(SOON))
    (late,) = train_update(parts, state).state.pending
    after = {name: weight.detach().clone() for name, weight in parts.policy.module.named_parameters()}
    assert any(not torch.equal(before[name], after[name]) for name in before)
    gaps = []
    for weights in (before, after):
        parts.policy.module.load_state_dict(weights, strict=False)
        hidden = parts.policy.model.hidden(late.prompts.ids, late.prompts.mask, late.ids, late.mask)
        logp_tok = parts.policy.model.token_stats(hidden[:, :-1], late.ids).logp_tok
        gaps.append((late.logp_rollout_tok - logp_tok - vllm_stand_in.NOISE)[late.mask].abs().max().item())
    assert gaps[0] < 1e-4 < gaps[1]


def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    settings = [*APART, "rollout.staleness=2", "checkpoint.every=1"]
    whole = run(small(tmp_path / "a", *settings))[1]
    half = small(tmp_path / "b", *settings, "updates=2")
    run(half)
    outcome, rows = run({**half, "updates": 4})
    assert outcome.status == "finished"
    assert numbers(rows) == numbers(whole)
    assert [row["response/lag_updates"] for row in rows] == [0, 1, 2, 2]


def test_a_checkpoint_of_a_version_that_did_not_say_when_a_rollout_was_written(tmp_path: Path) -> None:
    parts = parts_of(small(tmp_path, *APART, "rollout.staleness=1"))
    state = train_update(parts, initial_state(parts)).state
    silent = replace(state, pending=tuple(replace(one, written=None) for one in state.pending))
    path = checkpoint.save(parts, silent, tmp_path / "checkpoints", "", {})
    back = checkpoint.load(parts, initial_state(parts), path)
    assert back.pending[0].written is None
    assert "response/lag_updates" not in train_update(parts, back).row


def test_the_first_signal_lets_the_update_and_its_rollout_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_training(monkeypatch, lambda: os.kill(os.getpid(), signal.SIGINT))
    config = small(tmp_path, *APART, "rollout.staleness=1")
    outcome, rows = run(config)
    assert (outcome.status, len(rows)) == ("interrupted", 1)
    monkeypatch.undo()
    vllm_stand_in.install(monkeypatch)
    (tmp_path / "whole").mkdir()
    expected = run(small(tmp_path / "whole", *APART, "rollout.staleness=1"))[1]
    assert numbers(run(config)[1]) == numbers(expected)


def test_the_second_signal_breaks_the_writing_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stand_in: list[LLM]
) -> None:
    def twice() -> None:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    calls: list[None] = []

    def until_ended() -> None:
        """The one beside training goes on until the engine is told to end, as vLLM's then breaks off what it writes."""
        calls.append(None)
        for _ in range(int(SOON / 0.01) if len(calls) == 2 else 0):
            if stand_in[0].process.exitcode is not None:
                raise vllm_stand_in.EngineDeadError
            time.sleep(0.01)

    at_training(monkeypatch, twice)
    at_generate(monkeypatch, "before", until_ended)
    config = small(tmp_path, *APART, "rollout.staleness=1")
    outcome = train(parts_of(config), config, ["test"], "test")
    assert outcome.reason == "stopped at once by a second signal"
    assert not (outcome.directory / "metrics.jsonl").exists()
    assert (len(calls), stand_in[0].process.exitcode) == (2, -signal.SIGTERM)


def test_an_update_that_fails_waits_for_the_writing_and_a_rollback_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine is needed again, so that it is not ended."""
    parts = parts_of(small(tmp_path, *APART, "rollout.staleness=1"))
    state = train_update(parts, initial_state(parts)).state
    written: list[None] = []
    at_generate(monkeypatch, "after", lambda: written.append(None))
    with monkeypatch.context() as broken:
        broken.setattr(loop, "check_weights", lambda *given: (_ for _ in ()).throw(Diverged("not finite")))
        with pytest.raises(Diverged, match="not finite"):
            train_update(parts, state)
    assert len(written) == 1
    assert train_update(parts, state).state.counters.update == 2


def test_what_the_writing_raises_ends_the_update(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = parts_of(small(tmp_path, *APART, "rollout.staleness=1"))
    state = train_update(parts, initial_state(parts)).state

    def fail() -> None:
        raise RuntimeError("CUDA error: an illegal memory access")

    at_generate(monkeypatch, "before", fail)
    with pytest.raises(RunFailed, match="could not write the responses: RuntimeError: CUDA error"):
        train_update(parts, state)


class Silent(Sampler):
    """A user's own that writes beside training and does not say by what probabilities."""

    batch_size, samples_per_prompt, staleness = 4, 1, 1

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def sample(self, *asked: Any) -> Any:
        return replace(self.inner.sample(*asked), logp_rollout_tok=None)

    def greedy(self, *asked: Any) -> Any:
        raise NotImplementedError

    def beside(self, policy: Any) -> Sampler:
        return self


def test_a_sampler_that_cannot_be_scored_any_more_is_refused(tmp_path: Path) -> None:
    parts = parts_of(small(tmp_path, *ENGINE))
    parts = replace(parts, rollout=Silent(parts.rollout))
    with pytest.raises(ConfigError, match="rollout must give logp_rollout_tok where it writes beside training"):
        train_update(parts, initial_state(parts))


@pytest.mark.parametrize(
    ("waited", "took", "share"), [(0.0, 2.0, 1.0), (1.5, 2.0, 0.25), (2.0, 2.0, 0.0), (2.1, 2.0, 0.0)]
)
def test_the_hidden_share_is_what_nobody_waited_for(waited: float, took: float, share: float) -> None:
    clock = Clock(torch.nn.Linear(1, 1))
    assert clock.hidden_share() is None
    clock.spans |= {WAIT: waited, BESIDE: took}
    assert clock.hidden_share() == pytest.approx(share)


def test_nothing_waits_but_what_is_older(tmp_path: Path) -> None:
    parts = parts_of(small(tmp_path, *APART, "rollout.staleness=2"))
    state, rollout, aside = begun(parts, initial_state(parts))
    with aside:
        assert len(state.pending) == 1
        assert state.counters.cursor == 3  # a prompt with four responses in each of three rollouts
        assert rollout.written == 0
        assert len(aside.joined(parts, state, Clock(parts.policy.module)).pending) == 2
