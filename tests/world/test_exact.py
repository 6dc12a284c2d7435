"""The world of tasks at a size of seconds: its models, its pairs, and a run in it."""

from pathlib import Path

import torch

from safelab.app.config.build import build
from safelab.contracts import Context
from safelab.training.lifecycle.run import train
from safelab.training.loop import train_update
from safelab.training.state import initial_state
from safelab.world.artifacts import ensure_language_model, ensure_preferences, ensure_value_model
from safelab.world.cache import read_manifest
from safelab.world.options import WorldOptions
from safelab.world.preferences import load_preferences
from safelab.world.tasks import answer_to, is_held_out
from support.runs import numbers, resolved
from support.worlds import EXACT, world_cache

WORLD = WorldOptions(**EXACT)


def parts_of(*overrides: str):
    config = {**resolved("world=exact", "rollout.batch_size=8", "updates=2", *overrides)}
    config = _in_this_world(config)
    return build(config, Context(seed=0, device=torch.device("cpu"), cache=world_cache())), config


def _in_this_world(node):
    """The configuration with the world of seconds wherever there is one."""
    if not isinstance(node, dict):
        return node
    return {key: EXACT if key == "world" else _in_this_world(value) for key, value in node.items()}


def test_the_policy_writes_the_words_of_the_tasks() -> None:
    made = ensure_language_model(WORLD, world_cache(), lambda text: None)
    measured = read_manifest(made)["measured"]
    assert 0 <= measured["gold_mean"] <= measured["grammatical_share"] <= 1
    assert made == ensure_language_model(WORLD, world_cache(), lambda text: None)


def test_a_pair_is_a_right_and_a_wrong_answer_to_a_prompt_that_is_not_kept_back() -> None:
    pairs = load_preferences(ensure_preferences(WORLD, 0, world_cache(), lambda text: None))
    for pair in pairs:
        right = answer_to(pair.chosen.prompt)
        assert (pair.chosen.response, pair.chosen.ended) == (right, True)
        assert (pair.rejected.response, pair.rejected.ended) != (right, True)
        assert pair.rejected.prompt == pair.chosen.prompt
        assert not is_held_out(pair.chosen.prompt, 0.1)


def test_the_value_model_learns_from_such_pairs() -> None:
    made = ensure_value_model(WORLD, 0, world_cache(), lambda text: None)
    assert 0 <= read_manifest(made)["measured"]["accuracy"] <= 1


def test_an_update_sees_rewards_of_0_and_1_and_the_same_gold_score() -> None:
    parts, _ = parts_of("algorithm=dapo")
    row = train_update(parts, initial_state(parts)).row
    assert row["reward/gold_mean"] == row["reward/mean"]
    assert {row["reward/min"], row["reward/max"]} <= {0.0, 1.0}
    assert row["rollout/equal_share"] <= 1.0


def test_all_kinds_of_methods_train(tmp_path: Path) -> None:
    for algorithm in ("ppo", "dpo", "dvpo"):
        parts, config = parts_of(f"algorithm={algorithm}", f"output_dir={tmp_path / algorithm}")
        assert train(parts, config, ["test"], "test").status == "finished"


def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path) -> None:
    rows = {}
    for name, stops in (("whole", [4]), ("resumed", [2, 4])):
        for updates in stops:
            parts, config = parts_of("algorithm=dapo", f"output_dir={tmp_path / name}", f"updates={updates}")
            outcome = train(parts, config, ["test"], "test")
        rows[name] = numbers(_rows(outcome.directory))
    assert rows["whole"] == rows["resumed"]
    assert len(rows["whole"]) == 4


def _rows(directory: Path):
    import json

    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
