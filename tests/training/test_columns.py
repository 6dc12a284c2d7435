"""The data's other columns on their way to reward and evaluator: groups, staleness, a checkpoint, held-out prompts."""

import json
from pathlib import Path
from typing import Any

import pytest

from safelab.contracts import Context, Part, PromptSource, Reading
from safelab.errors import DataError
from safelab.training.lifecycle import checkpoint
from safelab.training.loop import train_update
from safelab.training.probes.evaluation import evaluate
from safelab.training.rollouts import draw_prompts
from safelab.training.state import initial_state
from support.runs import numbers, parts_of, run, small

PROMPTS = ["a b c", "d e", "f", "a", "c d e f", "b b"]
REWARD = "reward.name='support.runs:as_long_as_asked'"


def config(folder: Path, *overrides: str, data: str = "jsonl", records: list[dict] | None = None) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    rows = [{"prompt": p, "answer": len(p.split()), "source": "test"} for p in PROMPTS] if records is None else records
    made = small(folder, f"data={data}", "data.path=x", *(["data.column=prompt"] if data == "hub" else []),
                 REWARD, "algorithm=ppo_matched", "optimizer.lr=1e-2", *overrides)  # fmt: skip
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {**made, "data": {**made["data"], "path": str(folder / "data.jsonl")}}


@pytest.mark.parametrize("data", ["jsonl", "hub"])
def test_each_response_is_scored_with_its_own_prompts_answer(data: str, tmp_path: Path) -> None:
    parts = parts_of(config(tmp_path, "algorithm=grpo", "rollout.samples_per_prompt=4", data=data))
    batch = draw_prompts(parts, 3)
    assert list(batch.columns) == ["answer"], "what nobody reads is not carried"
    assert batch.columns["answer"] == tuple(len(text.split()) for text in batch.texts)
    assert len(batch.texts) == 8
    train_update(parts, initial_state(parts))  # the reward looks for itself


def test_a_resumed_stale_run_with_columns_is_the_uninterrupted_one(tmp_path: Path) -> None:
    settings = ["rollout.staleness=2", "checkpoint.every=1", "optimizer.minibatches=2"]
    whole, first = config(tmp_path / "a", *settings, "updates=5"), config(tmp_path / "b", *settings, "updates=2")
    run(first)
    outcome, rows = run({**first, "updates": 5})
    assert outcome.status == "finished"
    assert numbers(rows) == numbers(run(whole)[1])


def test_waiting_columns_come_back_from_a_checkpoint(tmp_path: Path) -> None:
    records = [{"prompt": p, "answer": len(p.split()), "odd": [None, {"x": 0.1}, "\u00e4"]} for p in PROMPTS]
    made = config(tmp_path, "rollout.staleness=1", records=records)
    members = [made["reward"], {"name": f"{__name__}:odd"}]
    coefs = {"weights": None, "std_coef": 0.0, "variance_coef": 0.0}
    parts = parts_of({**made, "reward": {"name": "ensemble", "combine": "mean", "members": members, **coefs}})
    state = train_update(parts, initial_state(parts)).state
    path = checkpoint.save(parts, state, tmp_path / "checkpoints", "", {})
    (back,) = checkpoint.load(parts, initial_state(parts), path).pending
    assert back.prompts.columns == state.pending[0].prompts.columns
    assert set(back.prompts.columns) == {"answer", "odd"}


def odd(completions: list[str], odd: list[Any]) -> list[float]:
    """Reads a column and spoils its copy."""
    for value in odd:
        assert value == [None, {"x": 0.1}, "\u00e4"]
        value.clear()
    return [0.0] * len(completions)


def test_held_out_prompts_bring_their_columns(tmp_path: Path) -> None:
    made = config(tmp_path, "data.held_out=3", data="hub")
    parts = parts_of({**made, "data": {**made["data"], "part": "held_out"}})
    parts.policy.save(tmp_path / "policy")
    found = evaluate(parts, tmp_path / "policy", 7, lambda text: None)
    assert sorted(found.policy.prompts) == sorted(PROMPTS[3:])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("jsonl", "data.jsonl, line 1: there must be a column 'answer', which reward .*: did you mean 'answr'"),
        (
            "hub",
            "data.jsonl must have the column 'answer', which reward .*: did you mean 'answr'. known: answr, prompt",
        ),
        ("text", "data must have the column 'answer', which reward .* it has no column beside the prompts"),
    ],
)
def test_a_column_that_is_not_there_is_refused_before_the_first_update(data: str, said: str, tmp_path: Path) -> None:
    records = [{"prompt": p, "answr": 1} for p in PROMPTS]
    made = small(tmp_path, REWARD) if data == "text" else config(tmp_path, data=data, records=records)
    with pytest.raises(DataError, match=said):
        parts_of(made)


def test_records_that_differ_in_a_column_that_is_read_are_two(tmp_path: Path) -> None:
    records = [{"prompt": "a b", "answer": n, "unread": k} for n in (2, 3) for k in (0, 1)]
    data = parts_of(
        {**config(tmp_path, data="hub", records=records), "reward": {"name": f"{__name__}:any_answer"}}
    ).data
    assert sorted(data.columns(0, 2)["answer"]) == [2, 3]
    assert data.prompts(0, 2) == ["a b", "a b"]


def any_answer(completions: list[str], answer: list[int]) -> list[float]:
    """Reads a column."""
    return [0.0] * len(completions)


class Own(Part, PromptSource):
    """A user's own source, with a column that JSON does not hold where it is told to."""

    value: Any

    def prompts(self, cursor: int, count: int) -> list[str]:
        """Always the same."""
        return ["a b"] * count

    def columns(self, cursor: int, count: int) -> Any:
        """One value a prompt, or what the test says."""
        return {"answer": [2] * count} if self.value is None else self.value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"answer": [2]}, "must return 8 values of 'answer', got 1"),
        ({"answer": "22222222"}, "must return 8 values of 'answer', got '22222222'"),
        ({"answer": [{2}] * 8}, "column 'answer' must hold what JSON holds .*set is not JSON"),
        ([2] * 8, "columns must return one list for each column's name"),
        ({"other": [2] * 8}, "must have the column 'answer', .* it has: other"),
    ],
)
def test_a_source_of_the_users_own_is_asked_and_checked(value: Any, said: str, tmp_path: Path) -> None:
    made = config(tmp_path)
    source = {"name": f"{__name__}:Own", "value": None}
    parts = parts_of({**made, "data": source})
    assert draw_prompts(parts, 0).columns == {"answer": (2,) * 8}
    with pytest.raises(DataError, match=said):
        parts_of({**made, "data": {**source, "value": value}})


def test_a_part_without_further_arguments_reads_nothing() -> None:
    assert not Reading()
    assert Context(seed=0, device=None, cache=Path()).reading == Reading()  # type: ignore[arg-type]
